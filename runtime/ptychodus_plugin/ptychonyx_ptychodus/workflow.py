"""Folders that are watched: a scan comes in, and perhaps a model, and product.h5 comes out."""

from __future__ import annotations

from pathlib import Path

from ptychodus.api.workflow import FileBasedWorkflow, WorkflowAPI

from ptychonyx.runtime.files import check_outputs
from ptychonyx.runtime.formats import product_output

from .library import PtychonyxLibrary
from .running import PRODUCT

INFERENCE, SOLVING = "ptychonyx_onnx", "ptychonyx_solver"
"""Our algorithms, as Ptychodus calls them."""
INPUT, OUTPUT, MODEL, DIFFRACTION = "input", "output", "model.onnx", "diffraction.h5"


class WatchedFolders(FileBasedWorkflow):
    """Reconstruct each <folder>/input/product.h5 into <folder>/output/product.h5.

    The layout is that of Ptychodus' remote runs: diffraction.h5 lies beside the product. Ptychodus
    calls a workflow in its foreground, so the work is only handed to the background.

    Parameters
    ----------
    algorithm : "ptychonyx_onnx" or "ptychonyx_solver"
        The first takes model.onnx beside the product, or the model that is loaded.

    Attributes
    ----------
    library : PtychonyxLibrary or None
        Set once Ptychodus has it.
    """

    def __init__(self, algorithm: str) -> None:
        super().__init__()
        self._algorithm = algorithm
        self.library: PtychonyxLibrary | None = None

    @property
    def is_watch_recursive(self) -> bool:
        """Scans come in folders of their own."""
        return True

    def get_watch_file_pattern(self) -> str:
        """Return what is waited for; the output does not fit it."""
        return f"{INPUT}/product.h5"

    def execute(self, api: WorkflowAPI, file_path: Path) -> None:
        """Load the scan and its model, and start the reconstruction."""
        if self.library is None:
            raise RuntimeError(
                "This Ptychodus does not hold Ptychonyx's reconstructors, which its workflow needs; "
                "its log says why."
            )
        folder = file_path.parent
        output = folder.with_name(OUTPUT)
        check_outputs(
            [file_path, folder / DIFFRACTION, folder / MODEL],
            [product_output(output / PRODUCT, is_folder_made=True)],
        )
        library = self.library
        if self._algorithm == INFERENCE and (folder / MODEL).is_file():
            library.reconstructor.load_model_from_file(folder / MODEL)
        diffraction = api.load_assembled_diffraction_data(folder / DIFFRACTION)
        product = api.load_product(file_path, file_type="HDF5", diffraction=diffraction)
        output.mkdir(exist_ok=True)
        awaited = library.reconstructor if self._algorithm == INFERENCE else library.solver
        awaited.publish_into(output)
        product.reconstruct_local(algorithm=self._algorithm, output_product_file=output / PRODUCT)
