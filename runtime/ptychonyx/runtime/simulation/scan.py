"""Simulate a scan from an object, a probe, positions and photon noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..forward import predict_counts
from ..scan import Frame, Scan
from ..stitching.shift import NUM_TAPS
from .objects import OBJECTS as OBJECTS
from .positions import POSITIONS as POSITIONS
from .probes import PROBES as PROBES

PHOTON_ENERGY_EV = 8800.0
DETECTOR_DISTANCE_M = 2.0
PIXEL_SIZE_M = 28e-9
SIMULATION_BATCH = 256
MARGIN_PX = NUM_TAPS
"""Smallest margin of object around the outermost windows: their shifts read pixels beyond them."""
MAX_COUNTS_PER_PATTERN = 1e9
"""Largest dose. Counts are uint32, which still hold twice this dose on a single pixel."""

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True)
class SimulationOptions:
    """Describe a scan to simulate.

    Attributes
    ----------
    object_name : str
        One of `OBJECTS`.
    probe_name : str
        One of `PROBES`.
    positions_name : str
        One of `POSITIONS`.
    num_patterns : int
        Number n of patterns; a raster takes the first n positions of its rows.
    window_px : int
        Side N of the patterns; even.
    step_px : float
        Mean distance between neighbouring positions.
    counts_per_pattern : float
        Dose: mean total counts of a pattern through vacuum.
    num_modes : int
        Number of incoherent probe modes.
    amplitude_range : (float, float)
        Lowest and highest amplitude of the object.
    phase_range_rad : (float, float)
        Lowest and highest phase of the object.
    is_one_material : bool
        Whether one drawn thickness gives both amplitude and phase, as in a specimen of one
        material; else amplitude and phase are drawn independently.
    margins_px : ((int, int), (int, int))
        Pixels of object around the outermost windows, as ((top, bottom), (left, right)). Unequal
        margins put the scan off the canvas' center and make the canvas oblong.
    """

    object_name: str = "lines"
    probe_name: str = "focused"
    positions_name: str = "raster"
    num_patterns: int = 500
    window_px: int = 64
    step_px: float = 6.0
    counts_per_pattern: float = 4.4e5
    num_modes: int = 3
    amplitude_range: tuple[float, float] = (0.6, 1.0)
    phase_range_rad: tuple[float, float] = (-0.5, 0.5)
    is_one_material: bool = False
    margins_px: tuple[tuple[int, int], tuple[int, int]] = ((MARGIN_PX, MARGIN_PX),) * 2

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("object_name", self.object_name, OBJECTS),
            ("probe_name", self.probe_name, PROBES),
            ("positions_name", self.positions_name, POSITIONS),
        ):
            if value not in choices:
                raise ValueError(f"`{name}` is {value!r}, expected one of: {', '.join(choices)}.")
        for name in ("num_patterns", "window_px", "step_px", "counts_per_pattern", "num_modes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` is {getattr(self, name)}, expected a positive number.")
        if self.window_px % 2:
            raise ValueError(f"`window_px` is {self.window_px}, expected an even number.")
        if self.counts_per_pattern > MAX_COUNTS_PER_PATTERN:
            raise ValueError(
                f"`counts_per_pattern` is {self.counts_per_pattern:g}, expected at most "
                f"{MAX_COUNTS_PER_PATTERN:g}: counts are stored as uint32."
            )
        if self.is_one_material and not self.amplitude_range[0] > 0:
            raise ValueError(
                f"`amplitude_range` is {self.amplitude_range}, expected to start above 0: a material "
                "takes a share of the amplitude with each layer, and never all of it."
            )
        if min(min(pair) for pair in self.margins_px) < MARGIN_PX:
            raise ValueError(
                f"`margins_px` is {self.margins_px}, expected at least {MARGIN_PX} on each side: "
                "windows between pixels need that much object around them."
            )


def simulate_scan(
    spec: SimulationOptions,
    rng: np.random.Generator,
    *,
    probe: NDArray[np.complexfloating] | None = None,
) -> Scan:
    """Simulate a scan whose object and probe are known.

    The counts are I = Poisson(Σ_m |fftshift F(P_m · O)|²). F is orthonormal, so Σ|P|² is the dose.

    Parameters
    ----------
    spec : SimulationOptions
        The scan to simulate.
    rng : numpy.random.Generator
        The only source of randomness.
    probe : complex array, shape (modes, N, N), optional
        Probe from elsewhere, such as a file, to use instead of `spec.probe_name` and
        `spec.num_modes`. It is scaled to the dose.

    Returns
    -------
    Scan
        Counts, with the true object and probe, energy, distance and frame.

    Raises
    ------
    ValueError
        If `probe` does not fit the window, is not finite, or is zero everywhere.
    RuntimeError
        If natural images are asked for and scikit-image is not installed.

    Examples
    --------
    >>> scan = simulate_scan(SimulationOptions(num_patterns=9, window_px=32), np.random.default_rng(0))
    >>> scan.patterns.shape, scan.probe.shape
    ((9, 32, 32), (3, 32, 32))
    """
    if probe is None:
        probe = PROBES[spec.probe_name](spec.window_px, spec.num_modes)
    dosed = _dosed(probe, spec)
    corners_px = POSITIONS[spec.positions_name](spec.num_patterns, spec.step_px, rng)
    before, after = np.array(spec.margins_px).T
    corners_px = corners_px - corners_px.min(axis=0) + before
    height, width = (np.ceil(corners_px.max(axis=0)).astype(int) + spec.window_px + after).tolist()
    object_ = draw_object(spec, (height, width), rng)
    patterns = diffract(object_, dosed, corners_px, rng)
    center_m = (-0.25 * height * PIXEL_SIZE_M, 0.6 * width * PIXEL_SIZE_M)
    return Scan(
        patterns=patterns,
        quantity="counts",
        corners_px=corners_px,
        probe=dosed.astype(np.complex64),
        object_=object_.astype(np.complex64),
        pixel_size_m=PIXEL_SIZE_M,
        photon_energy_eV=PHOTON_ENERGY_EV,
        detector_distance_m=DETECTOR_DISTANCE_M,
        frame=Frame((height, width), center_m, (PIXEL_SIZE_M, PIXEL_SIZE_M)),
        position_indexes=np.arange(len(corners_px)),
        name=f"simulated {spec.object_name}",
    )


def draw_object(
    spec: SimulationOptions, shape: tuple[int, int], rng: np.random.Generator
) -> Complex:
    """Draw the amplitude and phase of an object and scale them to their ranges.

    Bright pixels of the image that is drawn for the amplitude absorb most. For one material the
    image is the thickness t, from 0 to 1: the amplitude is high·(low/high)^t (Beer and Lambert), and
    the phase falls in proportion to t (the refractive index for X-rays is below that of vacuum).

    Parameters
    ----------
    spec : SimulationOptions
        Name of the object, its ranges, and whether it is of one material.
    shape : (int, int)
        Height and width (H, W) in pixels.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    complex array, shape (H, W)
        Transmission.

    Examples
    --------
    >>> object_ = draw_object(SimulationOptions(), (64, 80), np.random.default_rng(0))
    >>> bool(abs(object_).min() > 0.59 and abs(object_).max() < 1.01)
    True
    """
    low, high = spec.amplitude_range
    start, stop = spec.phase_range_rad
    image = _unit(OBJECTS[spec.object_name](shape, rng))
    if spec.is_one_material:
        amplitude, phase = high * (low / high) ** image, stop - (stop - start) * image
    else:
        phase_image = _unit(OBJECTS[spec.object_name](shape, rng))
        amplitude, phase = high - (high - low) * image, start + (stop - start) * phase_image
    result: Complex = amplitude * np.exp(1j * phase)
    return result


def diffract(
    object_: Complex, probe: Complex, corners_px: Real, rng: np.random.Generator
) -> NDArray[np.uint32]:
    """Draw the photon counts behind each window of an object.

    Parameters
    ----------
    object_ : complex array, shape (H, W)
        Transmission.
    probe : complex array, shape (modes, N, N)
        Incoherent modes in sqrt(counts).
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each window in the object.
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    uint32 array, shape (n, N, N)
        Counts with Poisson noise, with DC at [N//2, N//2].
    """
    patterns = np.empty((len(corners_px), *probe.shape[1:]), dtype=np.uint32)
    for batch in _batches(len(corners_px)):
        patterns[batch] = rng.poisson(predict_counts(object_, probe, corners_px[batch]))
    return patterns


def _dosed(probe: NDArray[np.complexfloating], spec: SimulationOptions) -> Complex:
    side = spec.window_px
    if probe.ndim != 3 or probe.shape[1:] != (side, side) or len(probe) == 0:
        raise ValueError(
            f"`probe` has shape {probe.shape}, expected (modes, {side}, {side}); crop or pad it, or "
            "set `window_px` to its side."
        )
    power = float(np.sum(np.abs(probe.astype(np.complex128)) ** 2))
    if not (np.isfinite(power) and power > 0):
        raise ValueError(
            f"`probe` has a total power of {power}, expected a positive number; check the file that "
            "it comes from."
        )
    return np.asarray(probe.astype(np.complex128) * np.sqrt(spec.counts_per_pattern / power))


def _batches(num_patterns: int) -> Iterator[slice]:
    for start in range(0, num_patterns, SIMULATION_BATCH):
        yield slice(start, start + SIMULATION_BATCH)


def _unit(image: Real) -> Real:
    low, high = np.percentile(image, (0.5, 99.5))
    result: Real = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    return result
