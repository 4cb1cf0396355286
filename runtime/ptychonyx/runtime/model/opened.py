"""A model file of any kind at work: one onnxruntime session and its manifest.

onnxruntime is imported when a model is opened, and not before.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ManifestError
from .manifest import ModelFacts
from .manifest.verification import TOLERANCES
from .model_file import open_model_file
from .providers import check_provider
from .start import errors_of, import_onnxruntime, start_session

_logger = logging.getLogger(__name__)

WHEELS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
)
"""Wheels that all install one and the same package `onnxruntime`, over each other."""

Facts = TypeVar("Facts", bound=ModelFacts)


@dataclass(frozen=True)
class VerificationResult:
    """Tell whether a model file computes here what its native network computed.

    Attributes
    ----------
    largest_difference, tolerance : float
        Largest difference from the native network's output, and the largest allowed.
    provider : str
        The execution provider that computed.
    passed : bool
    """

    largest_difference: float
    tolerance: float
    provider: str
    passed: bool


class OpenedModel(ABC, Generic[Facts]):
    """Open a model file of one kind; `Model` and `SolverModel` say what it computes.

    Parameters
    ----------
    path : path
        A model file (.onnx) with a manifest.
    kind : class
        The class of its manifest.
    provider : str
        "auto" takes CUDA if it really starts, else the CPU. A provider asked for by name starts or
        is an error.
    num_threads : int or None
        Threads of one prediction on the CPU.
    predictions_at_once : int
        Number of threads that will ask for predictions at the same time.

    Attributes
    ----------
    path : Path
    manifest : Manifest or SolverManifest
    digest : str
        sha256 of the file.
    provider : str
        The name of the provider that started, as in `providers.PROVIDERS`.
    predictions_at_once : int
        As given on the CPU, 1 elsewhere.

    Raises
    ------
    ManifestError
        If the file is not a model file, not one that can be trusted, or one of another kind.
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
        kind: type[Facts],
        *,
        provider: str,
        num_threads: int | None,
        predictions_at_once: int,
    ) -> None:
        check_provider(provider)
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"`num_threads` is {num_threads}; give 1 or more, or leave it out.")
        if predictions_at_once < 1:
            raise ValueError(f"`predictions_at_once` is {predictions_at_once}; give 1 or more.")
        file = open_model_file(path)
        self.path, self.digest = file.path, file.digest
        self.manifest: Facts = _of_kind(file.manifest, kind, file.path)
        self._ort = import_onnxruntime()
        _warn_of_mixed_wheels()
        self._errors = errors_of(self._ort)
        try:
            self.provider, self._session = start_session(
                self._ort,
                file,
                provider,
                num_threads=num_threads,
                predictions_at_once=predictions_at_once,
            )
        except self._errors as error:
            raise ManifestError(
                f"onnxruntime {self._ort.__version__} cannot load {path} ({error}); export it again."
            ) from error
        self.predictions_at_once = predictions_at_once if self.provider == "cpu" else 1
        _logger.info("%s runs on %s", self.path.name, ", ".join(self.providers))

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers of the session, in onnxruntime's names; the one at work first."""
        return tuple(self._session.get_providers())

    def verify(self) -> VerificationResult:
        """Compute the file's own test inputs and compare with what the native network gave.

        Returns
        -------
        VerificationResult
            `passed` is false if any real or imaginary part differs by more than the tolerance of
            this provider, or is not a number.
        """
        # NaN wins a maximum, and fails the comparison below
        largest = float(np.max([difference.max() for difference in self._differences()]))
        tolerance = TOLERANCES[self.provider]
        if self.manifest.precision != "float32":
            # fewer bits differ by more; how much was measured when the file was made
            tolerance = max(tolerance, self.manifest.verification.tolerance)
        return VerificationResult(largest, tolerance, self.provider, largest <= tolerance)

    @abstractmethod
    def _differences(self) -> Iterator[NDArray[np.float64]]:
        """Compute each test input of the proof; yield how far the native network's output is."""

    def _run(self, values: dict[str, NDArray[np.float32]]) -> NDArray[Any]:
        """Return the one output of the graph."""
        feed = {name: np.ascontiguousarray(value) for name, value in values.items()}
        output: NDArray[Any] = self._session.run([*self.manifest.outputs], feed)[0]
        return output

    def _check_output(self, output: NDArray[Any], expected: tuple[int, ...]) -> None:
        """Refuse what a graph gave if it is not what its manifest promises."""
        if output.shape != expected or output.dtype != np.float32:
            (name,) = self.manifest.outputs
            raise ManifestError(
                f"{self.path} gave `{name}` as {output.dtype} of shape {output.shape}, but "
                f"its manifest promises float32 of shape {expected}; do not use this file."
            )


def _of_kind(manifest: ModelFacts, kind: type[Facts], path: Path) -> Facts:
    if not isinstance(manifest, kind):
        raise ManifestError(
            f"{path} is a model of kind `{manifest.KIND}` ({manifest.PURPOSE}), but one of kind "
            f"`{kind.KIND}` ({kind.PURPOSE}) is needed here; give a file of that kind. "
            "`ptychonyx inspect` says which kind a file is."
        )
    return manifest


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
