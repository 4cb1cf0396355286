"""The network of a model file, as passes use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ManifestError
from ...model.solver import SolverModel
from .features import FEATURE_VERSION, NUM_FEATURES


@dataclass(frozen=True)
class SolverNetwork:
    """A model file of a solver at work.

    Attributes
    ----------
    model : SolverModel
    """

    model: SolverModel

    @property
    def name(self) -> str:
        """Name in the manifest, and the first digits of the file's sha256."""
        return f"{self.model.manifest.name} ({self.model.digest[:12]})"

    @property
    def stride(self) -> int:
        """Number that height and width of the features must be multiples of."""
        return self.model.manifest.stride_px

    def change(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change (2, H, W) for features (NUM_FEATURES, H, W)."""
        return self.model.change(features)


def open_solver(path: str | Path, *, provider: str = "auto") -> SolverNetwork:
    """Open the model file of a solver network.

    Parameters
    ----------
    path : path
    provider : str
        As for `SolverModel`.

    Raises
    ------
    ManifestError
        If it is no such file, or its network was trained to see something else.
    ProviderError, ValueError, RuntimeError
        As `SolverModel` raises them.
    """
    model = SolverModel(path, provider=provider)
    manifest = model.manifest
    if (manifest.feature_version, manifest.num_features) != (FEATURE_VERSION, NUM_FEATURES):
        raise ManifestError(
            f"The network of {path} was trained on {manifest.num_features} features of version "
            f"{manifest.feature_version}, but this version of Ptychonyx makes {NUM_FEATURES} of "
            f"version {FEATURE_VERSION}; train it again, or use the Ptychonyx that it is from."
        )
    return SolverNetwork(model)
