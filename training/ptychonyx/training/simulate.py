"""Objects, probes, positions and photon noise -> a scan with its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ptychonyx.runtime.scan import Frame, Scan
from ptychonyx.runtime.stitch import NUM_TAPS, cut_patches

PHOTON_ENERGY_EV = 8800.0
DETECTOR_DISTANCE_M = 2.0
PIXEL_SIZE_M = 28e-9
SIMULATION_BATCH = 256
MARGIN_PX = NUM_TAPS
"""Object around the outermost windows, so that no window needs pixels that are not there."""

Real = NDArray[np.float64]


@dataclass(frozen=True)
class SimulationSpec:
    """What to simulate.

    Attributes
    ----------
    object_name : str
        One of `OBJECTS`.
    probe_name : str
        One of `PROBES`.
    positions_name : str
        One of `POSITIONS`.
    num_patterns : int
        n; a raster rounds it up to full rows, of which the first n are kept.
    window_px : int
        N.
    step_px : float
        Mean distance between neighbouring positions.
    counts_per_pattern : float
        Dose: mean total counts of a pattern through vacuum.
    num_modes : int
        Incoherent probe modes.
    amplitude_range : (float, float)
        Of the object.
    phase_range_rad : (float, float)
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


def simulate(spec: SimulationSpec, rng: np.random.Generator) -> Scan:
    """Simulate a scan with truth.

    I = Poisson(Σ_m |fftshift F(P_m · O)|²), F orthonormal, so Σ|P|² is the dose in counts.

    Parameters
    ----------
    spec : SimulationSpec
    rng : numpy.random.Generator
        The only source of randomness.

    Returns
    -------
    Scan
        Counts, with object (truth), probe, energy, distance and frame.

    Examples
    --------
    >>> scan = simulate(SimulationSpec(num_patterns=9, window_px=32), np.random.default_rng(0))
    >>> scan.patterns.shape, scan.probe.shape
    ((9, 32, 32), (3, 32, 32))
    """
    corners_px = POSITIONS[spec.positions_name](spec, rng)
    corners_px = corners_px - corners_px.min(axis=0) + MARGIN_PX
    extent = np.ceil(corners_px.max(axis=0)).astype(int) + spec.window_px + MARGIN_PX
    shape = (int(extent[0]), int(extent[1]))
    object_ = draw_object(spec, shape, rng)
    probe = PROBES[spec.probe_name](spec)
    probe *= np.sqrt(spec.counts_per_pattern / np.sum(np.abs(probe) ** 2))
    patterns = diffract(object_, probe, corners_px, rng)
    center_m = (-0.25 * shape[0] * PIXEL_SIZE_M, 0.6 * shape[1] * PIXEL_SIZE_M)
    return Scan(
        patterns=patterns,
        quantity="counts",
        corners_px=corners_px,
        probe=probe.astype(np.complex64),
        object_=object_.astype(np.complex64),
        pixel_size_m=PIXEL_SIZE_M,
        photon_energy_eV=PHOTON_ENERGY_EV,
        detector_distance_m=DETECTOR_DISTANCE_M,
        frame=Frame(shape, center_m, (PIXEL_SIZE_M, PIXEL_SIZE_M)),
        position_indexes=np.arange(len(corners_px)),
        name=f"simulated {spec.object_name}",
    )


def diffract(
    object_: NDArray[np.complex128],
    probe: NDArray[np.complex128],
    corners_px: Real,
    rng: np.random.Generator,
) -> NDArray[np.uint32]:
    """Count photons behind each window of an object.

    Windows at fractional corners are cut with the same windowed sinc that stitches them.

    Parameters
    ----------
    object_ : complex array, shape (H, W)
    probe : complex array, shape (modes, N, N)
        In sqrt(counts).
    corners_px : float64 array, shape (n, 2)

    Returns
    -------
    uint32 array, shape (n, N, N)
    """
    num, side = len(corners_px), probe.shape[-1]
    patterns = np.empty((num, side, side), dtype=np.uint32)
    for start in range(0, num, SIMULATION_BATCH):
        stop = min(start + SIMULATION_BATCH, num)
        patches = cut_patches(object_, corners_px[start:stop], side)
        rate = np.zeros(patches.shape)
        for mode in probe:
            far_field = fft.fft2(mode * patches, norm="ortho", workers=-1)
            rate += np.square(far_field.real) + np.square(far_field.imag)
        patterns[start:stop] = rng.poisson(fft.fftshift(rate, axes=(-2, -1)))
    return patterns


def draw_object(
    spec: SimulationSpec, shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.complex128]:
    """Draw amplitude and phase images independently and scale them to their ranges."""
    amplitude, phase = (_unit(OBJECTS[spec.object_name](shape, rng)) for _ in range(2))
    low, high = spec.amplitude_range
    start, stop = spec.phase_range_rad
    result: NDArray[np.complex128] = (high - (high - low) * amplitude) * np.exp(
        1j * (start + (stop - start) * phase)
    )
    return result


def lines(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw random lines of random width and brightness, softened by a pixel."""
    image = np.zeros(shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for _ in range(max(20, shape[0] * shape[1] // 1200)):
        angle, width = rng.uniform(0, np.pi), rng.uniform(1.0, 3.0)
        along = np.array([np.sin(angle), np.cos(angle)])
        middle = rng.uniform(0, 1, 2) * shape
        length = rng.uniform(0.1, 0.5) * max(shape)
        dy, dx = y - middle[0], x - middle[1]
        across = np.abs(dy * along[1] - dx * along[0])
        inside = (across < width) & (np.abs(dy * along[0] + dx * along[1]) < length / 2)
        image[inside] += rng.uniform(0.3, 1.0)
    return np.asarray(ndimage.gaussian_filter(image, 1.0))


def dead_leaves(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw overlapping disks with the size statistics of natural scenes (radius^-3)."""
    image = np.full(shape, 0.5)
    y, x = np.ogrid[: shape[0], : shape[1]]
    smallest, largest = 3.0, max(shape) / 4
    for _ in range(shape[0] * shape[1] // 40):
        uniform = rng.uniform()
        radius = (smallest**-2 - uniform * (smallest**-2 - largest**-2)) ** -0.5
        middle = rng.uniform(-0.1, 1.1, 2) * shape
        image[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2] = rng.uniform()
    return np.asarray(ndimage.gaussian_filter(image, 0.8))


def gaussian_random_field(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw smooth noise whose power falls with the cube of the frequency."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    filter_ = (frequency + 0.02) ** -1.5 * np.exp(-((frequency / 0.25) ** 4))
    field: Real = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * filter_).real
    return field


def natural(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Take one of scikit-image's own photographs, mirrored to fill the shape."""
    try:
        from skimage import color, data
    except ImportError as error:
        raise RuntimeError(
            'Natural images come from scikit-image: pip install "ptychonyx[compare]"'
        ) from error
    photographs = (data.camera, data.coins, data.page, data.text, data.moon)
    image = np.asarray(photographs[rng.integers(len(photographs))](), dtype=np.float64)
    if image.ndim == 3:
        image = color.rgb2gray(image)
    margin = [(0, max(0, side - length)) for side, length in zip(shape, image.shape, strict=True)]
    image = np.pad(image, margin, mode="symmetric")
    start = [
        rng.integers(0, length - side + 1) for side, length in zip(shape, image.shape, strict=True)
    ]
    cut = image[start[0] : start[0] + shape[0], start[1] : start[1] + shape[1]]
    return np.asarray(ndimage.gaussian_filter(cut, 0.8))


def focused_probe(spec: SimulationSpec) -> NDArray[np.complex128]:
    """Return the beam of a round lens, out of focus: curved, about N/2 wide, partly coherent.

    Further modes are the first one times Hermite-like factors, each with a third of the power.
    """
    side = spec.window_px
    k = np.fft.fftshift(np.fft.fftfreq(side))
    ky, kx = k[:, None], k[None]
    radius = np.hypot(ky, kx)
    lens = 1 / (1 + np.exp((radius - 0.12) * 200))
    defocus = np.exp(1j * np.pi * 2.2 * side * radius**2)
    first = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(lens * defocus)))
    return _modes(first, spec.num_modes)


def gaussian_probe(spec: SimulationSpec) -> NDArray[np.complex128]:
    """Return a round Gaussian beam with a flat phase, N/4 wide (FWHM)."""
    y = np.arange(spec.window_px) - spec.window_px // 2
    sigma = spec.window_px / 4 / 2.355
    first = np.exp(-(y[:, None] ** 2 + y[None] ** 2) / (4 * sigma**2)).astype(np.complex128)
    return _modes(first, spec.num_modes)


def raster(spec: SimulationSpec, rng: np.random.Generator) -> Real:
    """Place positions on a square grid, each displaced by up to a fifth of a step."""
    columns = int(np.ceil(np.sqrt(spec.num_patterns)))
    rows = int(np.ceil(spec.num_patterns / columns))
    grid = np.indices((rows, columns)).reshape(2, -1).T[: spec.num_patterns]
    return np.asarray(spec.step_px * (grid + rng.uniform(-0.2, 0.2, (len(grid), 2))))


def spiral(spec: SimulationSpec, rng: np.random.Generator) -> Real:
    """Place positions on a Fermat spiral, which covers a disk evenly."""
    index = np.arange(spec.num_patterns) + 0.5
    angle = index * np.pi * (3 - np.sqrt(5)) + rng.uniform(0, 2 * np.pi)
    radius = spec.step_px * np.sqrt(index / np.pi)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def random_positions(spec: SimulationSpec, rng: np.random.Generator) -> Real:
    """Place positions anywhere in a square, with one per step² on average."""
    side = spec.step_px * np.sqrt(spec.num_patterns)
    return rng.uniform(0, side, (spec.num_patterns, 2))


def _modes(first: NDArray[np.complex128], num_modes: int) -> NDArray[np.complex128]:
    side = first.shape[0]
    y = (np.arange(side) - side // 2) / (side / 6)
    factors = [np.ones((1, 1)), y[:, None], y[None], y[:, None] * y[None], y[:, None] ** 2 - 1]
    if num_modes > len(factors):
        raise ValueError(f"`num_modes` is {num_modes}, expected at most {len(factors)}.")
    modes = []
    for order, factor in enumerate(factors[:num_modes]):
        mode = first * factor
        modes.append(mode / np.linalg.norm(mode) * 3 ** (-order / 2))
    return np.stack(modes)


def _unit(image: Real) -> Real:
    low, high = np.percentile(image, (0.5, 99.5))
    result: Real = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    return result


OBJECTS: dict[str, Callable[[tuple[int, int], np.random.Generator], Real]] = {
    "lines": lines,
    "dead_leaves": dead_leaves,
    "gaussian_random_field": gaussian_random_field,
    "natural": natural,
}
PROBES: dict[str, Callable[[SimulationSpec], NDArray[np.complex128]]] = {
    "focused": focused_probe,
    "gaussian": gaussian_probe,
}
POSITIONS: dict[str, Callable[[SimulationSpec, np.random.Generator], Real]] = {
    "raster": raster,
    "spiral": spiral,
    "random": random_positions,
}
