"""A model of patches at work: from diffraction amplitudes to object patches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .binding import BoundSession
from .manifest import INPUT_NAMES, Manifest
from .opened import OpenedModel
from .providers import PROVIDERS

PREDICTIONS_AT_ONCE = 2
"""Predictions at the same time on the CPU, where batches follow each other, as in a reconstruction.
With 2 cores, a pattern through `cnn`, F = 1, takes 2.48 ms, and 2.64 ms with one prediction at a
time on both."""


class Model(OpenedModel[Manifest]):
    """Open a model file and compute object patches with it.

    Parameters
    ----------
    path : path
        A model file (.onnx) of kind `patches`.
    provider : str
        "auto" takes CUDA if it really starts, else the CPU. A provider asked for by name starts or
        is an error.
    num_threads : int, optional
        Threads of one prediction on the CPU; by default the cores that this process may use, less
        one for each further prediction at the same time.
    predictions_at_once : int
        Number of threads that will call `predict` at the same time, as a reconstruction does. On
        the CPU, two predictions on half of the cores each are faster than one on all, whose
        threads wait for each other. Give 1 to make single predictions as fast as they can be. The
        values do not depend on it.

    Attributes
    ----------
    path : Path
    manifest : Manifest
    digest : str
        sha256 of the file.
    provider : str
        The name of the provider that started, as in `providers.PROVIDERS`.
    predictions_at_once : int
        As given on the CPU, 1 elsewhere.

    Raises
    ------
    ManifestError
        If the file is not a model file of patches, or not one that can be trusted.
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
        predictions_at_once: int = PREDICTIONS_AT_ONCE,
    ) -> None:
        super().__init__(
            path,
            Manifest,
            provider=provider,
            num_threads=num_threads,
            predictions_at_once=predictions_at_once,
        )
        device = PROVIDERS[self.provider].device
        self._bound = None if device is None else BoundSession(self._ort, self._session, device)

    def predict(self, amplitude: NDArray[np.float32], scale: float) -> NDArray[np.complex64]:
        """Compute the object patches of a batch of patterns.

        Parameters
        ----------
        amplitude : float32 array, shape (B, C, N, N)
            sqrt(counts), not scaled; bad pixels are 0.
        scale : float
            The scan's one input scale, see `scaling.input_scale`.

        Returns
        -------
        complex64 array, shape (B, C, M, M)
            The central M×M of each pattern's window.

        Raises
        ------
        TypeError
            If `amplitude` is not float32.
        ValueError
            If its shape does not fit the model, or a value or `scale` is not finite.
        RuntimeError
            If onnxruntime fails, as when the memory of a GPU is too small for the batch.
        """
        _check_input(amplitude, scale, self.manifest)
        try:
            pairs = self._predict_pairs(amplitude, scale)
        except self._errors as error:
            raise RuntimeError(
                f"{self.path} could not be run on {len(amplitude)} samples at once ({error}); if "
                "memory was short, give fewer."
            ) from error
        patch_px = self.manifest.patch_px
        self._check_output(pairs, (*amplitude.shape[:2], patch_px, patch_px, 2))
        patches: NDArray[np.complex64] = pairs.view(np.complex64)[..., 0]
        return patches

    def _predict_pairs(self, amplitude: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        if self._bound is not None:
            return self._bound.run(amplitude, scale)
        values = (amplitude, np.array([scale], dtype=np.float32))
        return self._run(dict(zip(INPUT_NAMES, values, strict=True)))

    def _differences(self) -> Iterator[NDArray[np.float64]]:
        proof = self.manifest.verification
        pairs = self.predict(proof.amplitude, proof.scale)[..., None].view(np.float32)
        yield np.abs(pairs.astype(np.float64) - proof.object_patches)


def _check_input(amplitude: NDArray[np.float32], scale: float, manifest: Manifest) -> None:
    window_px, channels = manifest.window_px, manifest.num_channels
    if amplitude.dtype != np.float32:
        raise TypeError(
            f"`amplitude` is {amplitude.dtype}; the model takes float32: convert it with "
            "`amplitude.astype(np.float32)`."
        )
    expected = (channels, window_px, window_px)
    if amplitude.ndim != 4 or amplitude.shape[1:] != expected or len(amplitude) == 0:
        raise ValueError(
            f"`amplitude` has shape {amplitude.shape}, expected (B, {channels}, {window_px}, "
            f"{window_px}) with B of 1 or more: one square image for each pattern of a sample."
        )
    is_finite = np.isfinite(amplitude).all(axis=(1, 2, 3))
    if not is_finite.all():
        raise ValueError(
            f"`amplitude` of sample {int(np.flatnonzero(~is_finite)[0])} is not finite; set bad "
            "pixels to 0 before, as `scaling.read_amplitudes` does."
        )
    if not 0 < scale < math.inf:
        raise ValueError(f"`scale` is {scale}; a positive finite number is needed.")
