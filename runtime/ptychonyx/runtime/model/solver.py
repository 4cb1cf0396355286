"""A solver's model at work: from features on a canvas to a change of its object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .manifest import FEATURES, NUM_CHANGE, SolverManifest
from .manifest.solver_proof import difference
from .opened import OpenedModel


class SolverModel(OpenedModel[SolverManifest]):
    """Open a model file of a solver and compute changes of an object with it.

    Parameters
    ----------
    path : path
        A model file (.onnx) of kind `solver`.
    provider : str
        "auto" takes CUDA if it really starts, else the CPU. A provider asked for by name starts or
        is an error.
    num_threads : int, optional
        Threads of one prediction on the CPU; by default the cores that this process may use, less
        one for each further prediction at the same time.
    predictions_at_once : int
        Number of threads that will call `change` at the same time, as for parts of a large canvas.

    Attributes
    ----------
    path : Path
    manifest : SolverManifest
    digest : str
        sha256 of the file.
    provider : str
        The name of the provider that started, as in `providers.PROVIDERS`.
    predictions_at_once : int
        As given on the CPU, 1 elsewhere.

    Raises
    ------
    ManifestError
        If the file is not a model file of a solver, or not one that can be trusted.
    ProviderError
        If `provider` was asked for by name and does not start; says why.
    ValueError
        If there is no such provider, or `num_threads` or `predictions_at_once` is below 1.
    RuntimeError
        If onnxruntime is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        provider: str = "auto",
        num_threads: int | None = None,
        predictions_at_once: int = 1,
    ) -> None:
        super().__init__(
            path,
            SolverManifest,
            provider=provider,
            num_threads=num_threads,
            predictions_at_once=predictions_at_once,
        )

    def change(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the change of an object.

        Parameters
        ----------
        features : float32 array, shape (`num_features`, H, W)
            H and W are multiples of the manifest's `stride_px`.

        Returns
        -------
        float32 array, shape (2, H, W)
            Real and imaginary part.

        Raises
        ------
        TypeError
            If `features` is not float32.
        ValueError
            If its shape does not fit the model, or a value is not finite.
        RuntimeError
            If onnxruntime fails, as when the memory of a GPU is too small for the canvas.
        """
        _check_features(features, self.manifest)
        height, width = features.shape[1:]
        try:
            change = self._run({FEATURES: features[None]})
        except self._errors as error:
            raise RuntimeError(
                f"{self.path} could not be run on a canvas of {height}×{width} ({error}); if memory "
                "was short, give smaller parts of it."
            ) from error
        self._check_output(change, (1, NUM_CHANGE, height, width))
        result: NDArray[np.float32] = change[0]
        return result

    def _differences(self) -> Iterator[NDArray[np.float64]]:
        proof = self.manifest.verification
        features = proof.features(self.manifest.num_features)
        for each, native in zip(features, proof.changes, strict=True):
            yield difference(self.change(each), native)


def _check_features(features: NDArray[np.float32], manifest: SolverManifest) -> None:
    if features.dtype != np.float32:
        raise TypeError(
            f"`features` are {features.dtype}; the model takes float32: convert them with "
            "`features.astype(np.float32)`."
        )
    num, stride = manifest.num_features, manifest.stride_px
    if (
        features.ndim != 3
        or len(features) != num
        or any(side == 0 or side % stride for side in features.shape[1:])
    ):
        raise ValueError(
            f"`features` have shape {features.shape}, expected ({num}, H, W) with H and W multiples "
            f"of {stride}: fill the canvas up."
        )
    is_finite = np.isfinite(features).all(axis=(1, 2))
    if not is_finite.all():
        raise ValueError(
            f"Feature {int(np.flatnonzero(~is_finite)[0])} is not finite; replace what is unknown "
            "by 0."
        )
