"""Compare patterns with a session of onnxruntime: on a GPU, or wherever a provider computes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ProviderError
from ...model.providers import DYNAMIC_SIDES, PROVIDERS, ModelTraits, check_provider
from ...model.start import errors_of, import_onnxruntime, start_graph
from ..options import Noise
from ..physics.exit_waves import (
    Beam,
    Change,
    Complex,
    Real,
    axis_ramps,
    compare_batch,
    make_beam,
)
from .comparison import (
    BACKGROUND,
    GOOD,
    MEASURED,
    MISFITS,
    OF_OBJECT,
    OF_PROBE,
    PATTERNS,
    RAMPS,
    SPECTRA,
    WINDOWS,
    comparison_graph,
    input_shapes,
    output_shapes,
)

LARGEST_CHUNK = DYNAMIC_SIDES[PATTERNS][-1]
"""Patterns of one run, at most."""
CHUNK_BYTES = 32 * 2**20
"""Size that the exit waves of one run may have; a run holds about ten tensors of this size."""
TOLERANCE = 2e-5
"""Largest difference from NumPy and SciPy when a provider starts, in the norm, relative to the whole.
Sums of float32 in another order differ by 2e-6; TF32 differs by 1e-3."""
TF32_VARIABLE = "NVIDIA_TF32_OVERRIDE"


class _Kind(NamedTuple):
    """What a session is for: how differences count, and whether the probe's part is wanted."""

    noise: Noise
    with_probe: bool


class GraphComparer:
    """Compare patterns on an execution provider.

    A session starts for passes that leave the probe as it is; one for those that correct it, or that
    count differences otherwise, when the first of them comes. Each is tried at once on a few patterns
    that SciPy compares, too.

    Parameters
    ----------
    provider : str
        One of `provider_names()`. "auto" takes CUDA if it really starts, else the CPU.
    side : int
        N, side of the windows.
    noise : "amplitude", "unbiased" or "poisson"
        How a pixel's difference counts in the session that starts first.
    num_threads : int, optional
        Threads on the CPU; by default one for each core.

    Attributes
    ----------
    provider : str
        The name of the provider that started.
    providers : tuple of str
        Execution providers of the session, in onnxruntime's names; the one at work first.

    Raises
    ------
    ProviderError
        If a provider asked for by name does not start, or does not compute what SciPy does.
    ValueError
        If there is no such provider.
    RuntimeError
        If onnxruntime is not installed.

    Examples
    --------
    >>> comparer = GraphComparer("cpu", 16, "amplitude")
    >>> comparer.providers
    ('CPUExecutionProvider',)
    """

    def __init__(
        self, provider: str, side: int, noise: Noise, *, num_threads: int | None = None
    ) -> None:
        check_provider(provider)
        self._ort = import_onnxruntime()
        self._errors = errors_of(self._ort)
        self._side, self._num_threads = side, num_threads
        self._lock = Lock()  # memory for one run at a time, and no provider need be thread-safe
        self.provider = provider
        self._first = _Kind(noise, with_probe=False)
        self._sessions = {self._first: self._start(self._first)}
        self._check(self._first)

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers of the session, in onnxruntime's names; the one at work first."""
        return tuple(self._sessions[self._first].get_providers())

    def chunk(self, beam: Beam) -> int:
        """Return how many patterns to give at a time.

        Examples
        --------
        >>> comparer = GraphComparer("cpu", 16, "amplitude")
        >>> comparer.chunk(make_beam(np.ones((3, 16, 16), np.complex64)))
        64
        """
        return max(1, min(LARGEST_CHUNK, CHUNK_BYTES // beam.modes.nbytes))

    def compare(
        self,
        beam: Beam,
        windows: Complex,
        fractions_px: NDArray[np.float64],
        measured: Real,
        *,
        good: Real | None,
        noise: Noise,
        with_probe: bool,
        background: Real | None = None,
    ) -> Change:
        """Return what `exit_waves.compare_batch` returns for the same arguments.

        Raises
        ------
        RuntimeError
            If onnxruntime fails, as when the memory of a GPU is too small.
        """
        kind = _Kind(noise, with_probe)
        with self._lock:
            if kind not in self._sessions:
                self._sessions[kind] = self._start(kind)
                self._check(kind)
            return self._run(kind, beam, windows, fractions_px, measured, good, background)

    def _start(self, kind: _Kind) -> Any:
        """Start a session; all others on the provider of the first."""
        data = comparison_graph(self._side, noise=kind.noise, with_probe=kind.with_probe)
        traits = ModelTraits(hashlib.sha256(data).hexdigest(), "float32", input_shapes(self._side))
        self.provider, session = start_graph(
            self._ort, data, traits, self.provider, num_threads=self._num_threads
        )
        return session

    def _run(
        self,
        kind: _Kind,
        beam: Beam,
        windows: Complex,
        fractions_px: NDArray[np.float64],
        measured: Real,
        good: Real | None,
        background: Real | None,
    ) -> Change:
        feed: Mapping[str, NDArray[np.float32]] = {
            WINDOWS: _interleaved(windows),
            SPECTRA: _interleaved(beam.spectra),
            RAMPS: _interleaved(axis_ramps(fractions_px, self._side)),
            MEASURED: np.ascontiguousarray(measured),
            GOOD: _everywhere(1 if good is None else good, measured.shape),
            BACKGROUND: _everywhere(0 if background is None else background, measured.shape),
        }
        names = [*output_shapes(self._side, with_probe=kind.with_probe)]
        try:
            outputs = dict(zip(names, self._sessions[kind].run(names, feed), strict=True))
        except self._errors as error:
            raise RuntimeError(
                f"{len(windows)} patterns could not be compared on {self.provider} ({error}); if "
                "the memory of a GPU was short, end what else uses it, or solve without `provider`."
            ) from error
        return Change(
            _complex(outputs[OF_OBJECT]),
            _complex(outputs[OF_PROBE]) if kind.with_probe else None,
            float(outputs[MISFITS].sum(dtype=np.float64)),
        )

    def _check(self, kind: _Kind) -> None:
        """Refuse a provider that does not compute what NumPy and SciPy compute."""
        rng = np.random.default_rng(0)
        shape = (self._side, self._side)
        modes, windows = (_noise_images(rng, (num, *shape)) for num in (2, 3))
        measured = 10 * rng.random((3, *shape), dtype=np.float32)
        good = (rng.random(shape) > 0.1).astype(np.float32)
        background = 9 * rng.random(shape, dtype=np.float32)
        beam, fractions_px = make_beam(10 * modes), rng.uniform(-0.5, 0.5, (3, 2))
        found = self._run(kind, beam, windows, fractions_px, measured, good, background)
        expected = compare_batch(
            beam,
            windows,
            fractions_px,
            measured,
            good=good,
            noise=kind.noise,
            with_probe=kind.with_probe,
            background=background,
        )
        parts = [(found.object_, expected.object_)]
        if found.probe is not None and expected.probe is not None:
            parts.append((found.probe, expected.probe))
        # a difference that is not a number is above every tolerance
        largest = max(relative_difference(*part) for part in parts)
        if not largest <= TOLERANCE:
            raise ProviderError(
                f"The execution provider {self.provider} does not compute what the passes need: a "
                f"test differs by {largest:.1e}, and {TOLERANCE:.0e} are allowed."
                f"{_advice(self.provider)}"
            )


def relative_difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the norm of a difference, relative to that of what was expected; infinity for NaN.

    Examples
    --------
    >>> relative_difference(np.ones(2, np.complex64), np.full(2, 2, np.complex64))
    0.5
    >>> relative_difference(np.full(2, np.nan, np.complex64), np.ones(2, np.complex64))
    inf
    """
    exact = expected.ravel().astype(np.complex128)
    relative = float(np.linalg.norm(found.ravel() - exact) / np.linalg.norm(exact))
    return relative if np.isfinite(relative) else float("inf")


def _advice(provider: str) -> str:
    """Return what to do about a provider that computes wrongly."""
    if PROVIDERS[provider].needs_gpu:
        return (
            " Its sums are probably rounded to TF32: start again with the environment variable "
            f"{TF32_VARIABLE}=0, or with another `provider`."
        )
    return " Choose another `provider`."


def _everywhere(values: Real | float, shape: tuple[int, ...]) -> Real:
    """Return values for each pixel of each pattern, as the graph wants them."""
    return np.ascontiguousarray(np.broadcast_to(np.float32(values), shape))


def _noise_images(rng: np.random.Generator, shape: tuple[int, ...]) -> Complex:
    parts = rng.normal(size=(*shape, 2)).astype(np.float32)
    return parts.view(np.complex64)[..., 0]


def _interleaved(images: Complex) -> NDArray[np.float32]:
    """Return complex numbers as pairs on a new last axis."""
    return np.ascontiguousarray(images)[..., None].view(np.float32)


def _complex(pairs: NDArray[np.float32]) -> Complex:
    return np.ascontiguousarray(pairs).view(np.complex64)[..., 0]
