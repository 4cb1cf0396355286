"""The reconstructor: load an .onnx file, infer, export training data, train."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from ptychodus.api.product import LossValue
from ptychodus.api.reconstruct import (
    ReconstructInput,
    ReconstructOutput,
    TrainableReconstructor,
    TrainOutput,
)

from ptychonyx.runtime.files import write_atomically
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.start import may_use_gpu

from . import training
from .child import Inference, spawn
from .convert import to_scan
from .running import PROGRESS_GOAL, Awaited, Outputs, logged, reconstruct, until_stopped
from .settings import InferenceSettings, TrainingSettings

_logger = logging.getLogger("ptychonyx.ptychodus")


class OnnxReconstructor(TrainableReconstructor):
    """A Ptychonyx model as an algorithm of Ptychodus.

    On the CPU the network runs in Ptychodus' own background thread, at once. Every other provider
    runs in a process that Ptychodus spawns for the call, since the application must never hold a
    GPU itself.
    """

    def __init__(self, inference: InferenceSettings, training_settings: TrainingSettings) -> None:
        super().__init__()
        self._inference, self._training = inference, training_settings
        self._model: Model | None = None
        self._losses: Sequence[LossValue] = ()
        self._awaited = Awaited()

    @property
    def name(self) -> str:
        """Name of the algorithm within the library."""
        return "ONNX"

    def get_progress_goal(self) -> int:
        """Progress is in percent."""
        return PROGRESS_GOAL

    def reconstruct(self, parameters: ReconstructInput) -> Iterator[ReconstructOutput]:
        """Yield the product a few times as it grows; closing the generator stops the work."""
        with logged("Reconstruction"):
            yield from until_stopped(self._outputs(parameters))
        self._awaited.publish()

    def publish_into(self, folder: Path) -> None:
        """Leave the product of the next run in `folder` as product.h5, see `Awaited`."""
        self._awaited.add(folder)

    def is_model_loaded(self) -> bool:
        """Tell whether Infer can be pressed."""
        return self._model is not None

    def get_model_file_filter(self) -> str:
        """Return the filter of the file dialogue."""
        return "Ptychonyx Models (*.onnx)"

    def load_model_from_file(self, file_path: Path) -> None:
        """Load a model; the session that is opened is one for the CPU, and holds no GPU."""
        with logged("Load"):
            self._model = Model(file_path, provider="cpu")
        self._losses = ()
        manifest = self._model.manifest
        _logger.info(
            "Loaded %s: %s, N = %d, trained with %s.",
            file_path,
            manifest.name,
            manifest.window_px,
            manifest.backend,
        )

    def get_model_file_extension(self) -> str:
        """Batch mode loads model.onnx of the input folder."""
        return ".onnx"

    def save_model(self, file_path: Path) -> None:
        """Copy the loaded model; Ptychodus ships it with remote runs."""
        data = self._loaded_model().path.read_bytes()
        write_atomically(file_path, lambda file: file.write(data))  # it may be the file itself

    def get_training_data_file_filter(self) -> str:
        """Return the filter of the file dialogue."""
        return "Ptychodus Training Data (*.h5 *.hdf5)"

    def export_training_data(self, file_path: Path, parameters: ReconstructInput) -> None:
        """Write one file that `ptychonyx train` reads, and Ptychodus since 1.7 opens."""
        with logged("Export"):
            save_scan(to_scan(parameters), file_path)
        _logger.info("Wrote %s; Train takes every such file of a folder.", file_path)

    def train(self, input_path: Path, output_path: Path) -> Iterator[TrainOutput]:
        """Train on the files of a folder in a process of its own, then load what came out."""
        with logged("Training"):
            run = training.train(input_path, output_path, self._training.options())
            losses: Sequence[LossValue] = ()
            with closing(run):
                for output in run:
                    losses = output.validation_loss
                    yield output
        self.load_model_from_file(output_path / training.MODEL)
        self._losses = losses

    def _loaded_model(self) -> Model:
        if self._model is None:
            raise RuntimeError(
                "No model is loaded; Ptychonyx needs one: use Load Model, or in batch mode put "
                "model.onnx into the input folder."
            )
        return self._model

    def _outputs(self, parameters: ReconstructInput) -> Outputs:
        model, options = self._loaded_model(), self._inference.options()
        # the model that is loaded here is on the CPU
        is_here = options.provider in ("auto", "cpu") and not may_use_gpu(options.provider)
        if self._inference.separate_process.get_value() or not is_here:
            work = Inference(model.path, options, parameters, self._losses)
            return spawn(self.name, work, parameters)
        return reconstruct(parameters, model, options, self._losses)
