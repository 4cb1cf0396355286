"""The reconstructor that needs no model: it solves a scan by passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ptychodus.api.reconstruct import ReconstructInput, Reconstructor, ReconstructOutput

from ptychonyx.runtime.model.start import may_use_gpu

from .child import Solving, spawn
from .running import PROGRESS_GOAL, Awaited, Outputs, logged, until_stopped
from .settings import InferenceSettings, SolvingSettings


class PassReconstructor(Reconstructor):
    """Passes over the patterns as an algorithm of Ptychodus.

    They run in Ptychodus' own background thread, on the CPU. Where a network corrects them and its
    provider may use a GPU, they run in a process that Ptychodus spawns for the call.
    """

    def __init__(self, settings: SolvingSettings, inference: InferenceSettings) -> None:
        super().__init__()
        self._settings, self._inference = settings, inference
        self._awaited = Awaited()

    @property
    def name(self) -> str:
        """Name of the algorithm within the library."""
        return "Solver"

    def get_progress_goal(self) -> int:
        """Progress is in percent."""
        return PROGRESS_GOAL

    def reconstruct(self, parameters: ReconstructInput) -> Iterator[ReconstructOutput]:
        """Yield the product after each pass; closing the generator ends the work."""
        with logged("Reconstruction"):
            yield from until_stopped(self._outputs(parameters))
        self._awaited.publish()

    def publish_into(self, folder: Path) -> None:
        """Leave the product of the next run in `folder` as product.h5, see `Awaited`."""
        self._awaited.add(folder)

    def _outputs(self, parameters: ReconstructInput) -> Outputs:
        inference = self._inference.options()
        options = self._settings.options(inference.residual_patterns)
        network = options.solver_file
        provider = inference.provider
        is_here = network is None or (provider in ("auto", "cpu") and not may_use_gpu(provider))
        work = Solving(options, parameters, network, provider="cpu" if is_here else provider)
        if self._inference.separate_process.get_value() or not is_here:
            return spawn(self.name, work, parameters)
        return work.outputs()
