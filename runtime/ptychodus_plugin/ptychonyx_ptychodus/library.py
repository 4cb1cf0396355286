"""The library that Ptychodus lists: Ptychonyx, with a reconstructor for models and one without."""

from __future__ import annotations

from collections.abc import Iterator

from ptychodus.api.reconstruct import Reconstructor, ReconstructorLibrary
from ptychodus.api.settings import SettingsRegistry

from ptychonyx.runtime.reconstruction.settings import SECTION

from .reconstructor import OnnxReconstructor
from .settings import InferenceSettings, SolvingSettings, TrainingSettings
from .solver import PassReconstructor


class PtychonyxLibrary(ReconstructorLibrary):
    """The library that Ptychodus holds beside its own.

    Attributes
    ----------
    inference, solving, training
        The settings, for the pages in the GUI.
    reconstructor : OnnxReconstructor
    solver : PassReconstructor
    """

    def __init__(self, registry: SettingsRegistry) -> None:
        # the log of this name, with all of the runtime below it, appears in Ptychodus' window
        super().__init__("ptychonyx")
        group = registry.create_group(SECTION)  # which reconstruct-folder reads, too
        self.inference, self.solving = InferenceSettings(group), SolvingSettings(group)
        self.training = TrainingSettings(registry)
        self.reconstructor = OnnxReconstructor(self.inference, self.training)
        self.solver = PassReconstructor(self.solving, self.inference)

    @property
    def name(self) -> str:
        """Without an underscore, at which Ptychodus splits the name of an algorithm."""
        return "Ptychonyx"

    def __iter__(self) -> Iterator[Reconstructor]:
        """Go through the reconstructors."""
        return iter((self.reconstructor, self.solver))
