"""The library that Ptychodus lists: Ptychonyx, with one reconstructor."""

from __future__ import annotations

from collections.abc import Iterator

from ptychodus.api.reconstruct import Reconstructor, ReconstructorLibrary
from ptychodus.api.settings import SettingsRegistry

from .reconstructor import OnnxReconstructor
from .settings import InferenceSettings, TrainingSettings


class PtychonyxLibrary(ReconstructorLibrary):
    """The library that Ptychodus holds beside its own.

    Attributes
    ----------
    inference, training
        The settings, for the page in the GUI.
    reconstructor : OnnxReconstructor
    """

    def __init__(self, registry: SettingsRegistry) -> None:
        # the log of this name, with all of the runtime below it, appears in Ptychodus' window
        super().__init__("ptychonyx")
        self.inference, self.training = InferenceSettings(registry), TrainingSettings(registry)
        self.reconstructor = OnnxReconstructor(self.inference, self.training)

    @property
    def name(self) -> str:
        """Without an underscore, at which Ptychodus splits the name of an algorithm."""
        return "Ptychonyx"

    def __iter__(self) -> Iterator[Reconstructor]:
        """Go through the reconstructors."""
        return iter((self.reconstructor,))
