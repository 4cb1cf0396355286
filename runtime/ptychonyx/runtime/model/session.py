"""A model file at work: one onnxruntime session and its manifest.

onnxruntime is imported when a model is opened, and not before.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ManifestError
from .binding import BoundSession
from .manifest import INPUT_NAMES, OUTPUT_NAME, Manifest
from .model_file import open_model_file
from .providers import PROVIDERS, check_provider
from .start import errors_of, import_onnxruntime, start_session
from .verification import TOLERANCES

_logger = logging.getLogger(__name__)

PREDICTIONS_AT_ONCE = 2
"""Predictions at the same time on the CPU, where batches follow each other, as in a reconstruction.
With 2 cores, a pattern through `cnn`, F = 1, takes 2.48 ms, and 2.64 ms with one prediction at a
time on both."""
WHEELS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
)
"""Wheels that all install one and the same package `onnxruntime`, over each other."""


@dataclass(frozen=True)
class VerificationResult:
    """Tell whether a model file computes here what its native network computed.

    Attributes
    ----------
    largest_difference, tolerance : float
        Largest difference from the native network's patches, and the largest allowed.
    provider : str
        The execution provider that computed.
    passed : bool
    """

    largest_difference: float
    tolerance: float
    provider: str
    passed: bool


class Model:
    """Open a model file and compute object patches with it.

    Parameters
    ----------
    path : path
        A model file (.onnx) with a manifest.
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
        If the file is not a model file, or not one that can be trusted.
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
        check_provider(provider)
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"`num_threads` is {num_threads}; give 1 or more, or leave it out.")
        if predictions_at_once < 1:
            raise ValueError(f"`predictions_at_once` is {predictions_at_once}; give 1 or more.")
        file = open_model_file(path)
        self.path, self.manifest, self.digest = file.path, file.manifest, file.digest
        ort = import_onnxruntime()
        _warn_of_mixed_wheels()
        self._errors = errors_of(ort)
        try:
            self.provider, self._session = start_session(
                ort,
                file,
                provider,
                num_threads=num_threads,
                predictions_at_once=predictions_at_once,
            )
        except self._errors as error:
            raise ManifestError(
                f"onnxruntime {ort.__version__} cannot load {path} ({error}); export it again."
            ) from error
        device = PROVIDERS[self.provider].device
        self._bound = None if device is None else BoundSession(ort, self._session, device)
        self.predictions_at_once = predictions_at_once if self.provider == "cpu" else 1
        _logger.info("%s runs on %s", self.path.name, ", ".join(self.providers))

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers of the session, in onnxruntime's names; the one at work first."""
        return tuple(self._session.get_providers())

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
            pairs = self._run(amplitude, scale)
        except self._errors as error:
            raise RuntimeError(
                f"{self.path} could not be run on {len(amplitude)} samples at once ({error}); if "
                "memory was short, give fewer."
            ) from error
        patch_px = self.manifest.patch_px
        expected = (*amplitude.shape[:2], patch_px, patch_px, 2)
        if pairs.shape != expected or pairs.dtype != np.float32:
            raise ManifestError(
                f"{self.path} gave `{OUTPUT_NAME}` as {pairs.dtype} of shape {pairs.shape}, but "
                f"its manifest promises float32 of shape {expected}; do not use this file."
            )
        patches: NDArray[np.complex64] = pairs.view(np.complex64)[..., 0]
        return patches

    def _run(self, amplitude: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        if self._bound is not None:
            return self._bound.run(amplitude, scale)
        values = (np.ascontiguousarray(amplitude), np.array([scale], dtype=np.float32))
        feed = dict(zip(INPUT_NAMES, values, strict=True))
        pairs: NDArray[np.float32] = self._session.run([OUTPUT_NAME], feed)[0]
        return pairs

    def verify(self) -> VerificationResult:
        """Compute the file's own test patterns and compare with what the native network gave.

        Returns
        -------
        VerificationResult
            `passed` is false if any real or imaginary part differs by more than the tolerance of
            this provider, or is not a number.
        """
        proof = self.manifest.verification
        pairs = self.predict(proof.amplitude, proof.scale)[..., None].view(np.float32)
        difference = np.abs(pairs.astype(np.float64) - proof.object_patches)
        largest = float(difference.max())  # NaN wins a maximum, and fails the comparison below
        tolerance = TOLERANCES[self.provider]
        if self.manifest.precision != "float32":
            # fewer bits differ by more; how much was measured when the file was made
            tolerance = max(tolerance, proof.tolerance)
        return VerificationResult(largest, tolerance, self.provider, largest <= tolerance)


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


def _warn_of_mixed_wheels() -> None:
    installed = [wheel for wheel in WHEELS if _is_installed(wheel)]
    if len(installed) > 1:
        _logger.warning(
            "%s are installed together, but they overwrite each other's files, so it is not "
            "known which one runs; uninstall all of them (`pip uninstall %s`), then install one.",
            " and ".join(installed),
            " ".join(installed),
        )


def _is_installed(wheel: str) -> bool:
    try:
        metadata.distribution(wheel)
    except metadata.PackageNotFoundError:
        return False
    return True
