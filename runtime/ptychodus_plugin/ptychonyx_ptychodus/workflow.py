"""A folder that is watched: a scan and a model come in, product.h5 comes out."""

from __future__ import annotations

from pathlib import Path

from ptychodus.api.workflow import FileBasedWorkflow, WorkflowAPI

from ptychonyx.runtime.files import check_outputs
from ptychonyx.runtime.formats import product_output

from .reconstructor import PRODUCT, OnnxReconstructor

ALGORITHM = "ptychonyx_onnx"
INPUT, OUTPUT, MODEL, DIFFRACTION = "input", "output", "model.onnx", "diffraction.h5"


class InferenceWorkflow(FileBasedWorkflow):
    """Reconstruct each <folder>/input/product.h5 into <folder>/output/product.h5.

    The layout is that of Ptychodus' remote runs: diffraction.h5 and, if another one than the loaded
    model is meant, model.onnx lie beside the product. Ptychodus calls a workflow in its foreground,
    so the work is only handed to the background.

    Attributes
    ----------
    reconstructor : OnnxReconstructor or None
        Set once Ptychodus has its library.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reconstructor: OnnxReconstructor | None = None

    @property
    def is_watch_recursive(self) -> bool:
        """Scans come in folders of their own."""
        return True

    def get_watch_file_pattern(self) -> str:
        """Return what is waited for; the output does not fit it."""
        return f"{INPUT}/product.h5"

    def execute(self, api: WorkflowAPI, file_path: Path) -> None:
        """Load the scan and its model, and start the reconstruction."""
        if self.reconstructor is None:
            raise RuntimeError(
                "This Ptychodus does not hold Ptychonyx's reconstructor, which its workflow needs; "
                "its log says why."
            )
        folder = file_path.parent
        output = folder.with_name(OUTPUT)
        check_outputs(
            [file_path, folder / DIFFRACTION, folder / MODEL],
            [product_output(output / PRODUCT, is_folder_made=True)],
        )
        if (folder / MODEL).is_file():
            self.reconstructor.load_model_from_file(folder / MODEL)
        diffraction = api.load_assembled_diffraction_data(folder / DIFFRACTION)
        product = api.load_product(file_path, file_type="HDF5", diffraction=diffraction)
        output.mkdir(exist_ok=True)
        self.reconstructor.publish_into(output)
        product.reconstruct_local(algorithm=ALGORITHM, output_product_file=output / PRODUCT)
