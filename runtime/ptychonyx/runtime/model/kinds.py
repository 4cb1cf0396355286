"""Open a model file of whichever kind it is."""

from __future__ import annotations

from pathlib import Path

from .manifest import Manifest, ModelFacts, SolverManifest
from .model_file import load_manifest
from .session import Model
from .solver import SolverModel

AnyModel = Model | SolverModel

MODEL_OF: dict[type[ModelFacts], type[Model] | type[SolverModel]] = {
    Manifest: Model,
    SolverManifest: SolverModel,
}
"""Class of a manifest -> the class that runs its model."""


def open_model(path: str | Path, *, provider: str = "auto") -> AnyModel:
    """Open a model file of any kind, for single predictions.

    Parameters
    ----------
    path : path
        A model file (.onnx).
    provider : str
        As for `Model`.

    Returns
    -------
    Model or SolverModel
        By the kind of the file.

    Raises
    ------
    ManifestError, ProviderError, ValueError, RuntimeError
        As `Model` raises them.
    """
    model = MODEL_OF[type(load_manifest(path))]
    return model(path, provider=provider, predictions_at_once=1)
