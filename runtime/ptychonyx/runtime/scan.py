"""One experiment in memory, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError

Quantity = Literal["counts", "amplitude"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)

PLANCK_TIMES_LIGHT_EV_M = 1.239841984e-6
"""h·c, so wavelength = h·c / photon energy (CODATA 2018)."""


class PatternSource(Protocol):
    """What `Scan.patterns` must offer: an array, or a file that is read piece by piece."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (num_patterns, N, N)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype as stored."""

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Read the patterns of one slice, or of increasing indexes."""


@dataclass(frozen=True)
class Frame:
    """Where the scan's pixel frame lies in the file's own coordinates (metres).

    Attributes
    ----------
    canvas_shape : (int, int)
        Height and width in pixels of the file's own object canvas; its top-left pixel is (0, 0).
    center_m : (float, float)
        Position (y, x) of the canvas' center in metres.
    pixel_size_m : (float, float)
        Pixel height and width in metres.
    """

    canvas_shape: tuple[int, int]
    center_m: tuple[float, float]
    pixel_size_m: tuple[float, float]


@dataclass(frozen=True)
class Scan:
    """Diffraction patterns, where they were taken, and what is known about the experiment.

    Attributes
    ----------
    patterns : sliceable, shape (n, N, N)
        Diffraction patterns as stored, rows = y, DC at [N//2, N//2]; may stay on disk.
    quantity : "counts" or "amplitude"
        What the numbers of `patterns` are; amplitude is the square root of counts.
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of the N×N object window each pattern looks at.
    probe : complex64 array, shape (modes, N, N), or None
        Incoherent probe modes, as the file gives them.
    object_ : complex64 array, shape (H, W), or None
        Ground truth, or the result of another code.
    object_corner_px : (float, float)
        Top-left pixel (y, x) of `object_` in the frame of `corners_px`.
    bad_pixels : bool array, shape (N, N), or None
        True where a detector pixel must be ignored.
    pixel_size_m, photon_energy_eV, detector_distance_m : float or None
        Object pixel, photon energy, sample to detector.
    detector_pixel_m : float or None
        Width of a detector pixel, if the file says.
    frame : Frame or None
        How to go back from pixels to the file's own coordinates.
    position_indexes : int64 array, shape (n,), or None
        Scan indexes of the patterns in the file they came from.
    position_origin : str
        Rule that turned the file's positions into corners; `inspect` prints it.
    turned : str
        How patterns and positions were turned after reading, as options say it; "" if not at all.
    name, source : str
        Name of the scan, and the path it came from ("" if it was made in memory).
    """

    patterns: PatternSource
    quantity: Quantity
    corners_px: NDArray[np.float64]
    probe: NDArray[np.complex64] | None = None
    object_: NDArray[np.complex64] | None = None
    object_corner_px: tuple[float, float] = (0.0, 0.0)
    bad_pixels: NDArray[np.bool_] | None = None
    pixel_size_m: float | None = None
    photon_energy_eV: float | None = None
    detector_distance_m: float | None = None
    detector_pixel_m: float | None = None
    frame: Frame | None = None
    position_indexes: NDArray[np.int64] | None = None
    position_origin: str = "corner"
    turned: str = ""
    name: str = "scan"
    source: str = ""

    def __post_init__(self) -> None:
        _check_shapes(self)

    @property
    def num_patterns(self) -> int:
        """Number of diffraction patterns."""
        return int(self.patterns.shape[0])

    @property
    def window_px(self) -> int:
        """Side N of the square patterns, in pixels."""
        return int(self.patterns.shape[1])


@dataclass(frozen=True)
class SomePatterns:
    """Offer some patterns of a source as a source, without reading them.

    Attributes
    ----------
    source : PatternSource
    indexes : int64 array, shape (n,)
        Patterns of the source, in rising order.
    """

    source: PatternSource
    indexes: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, N, N)."""
        return (len(self.indexes), *self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype as stored."""
        return self.source.dtype

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Read the patterns of one slice, or of increasing indexes."""
        return self.source[self.indexes[key]]


def some_of(scan: Scan, indexes: NDArray[np.int64]) -> Scan:
    """Return a scan of some patterns of another, without reading them.

    Parameters
    ----------
    scan : Scan
    indexes : int64 array, shape (k,)
        Patterns to keep, in rising order.

    Returns
    -------
    Scan
        A scan in the same frame; `position_indexes` says which patterns of the file they are.

    Examples
    --------
    >>> scan = Scan(np.arange(3.0).reshape(3, 1, 1), "counts", np.zeros((3, 2)))
    >>> some = some_of(scan, np.array([0, 2]))
    >>> some.patterns[:].ravel().tolist(), some.position_indexes.tolist()
    ([0.0, 2.0], [0, 2])
    """
    numbers = scan.position_indexes
    return replace(
        scan,
        patterns=SomePatterns(scan.patterns, indexes),
        corners_px=scan.corners_px[indexes],
        position_indexes=indexes if numbers is None else numbers[indexes],
    )


def turned_metadata(scan: Scan) -> dict[str, str | float | int | bool]:
    """Return what a product keeps of how its scan was turned; nothing if it was not.

    Examples
    --------
    >>> turned_metadata(Scan(np.ones((1, 1, 1)), "counts", np.zeros((1, 2)), turned="--flip x"))
    {'turned': '--flip x'}
    """
    return {"turned": scan.turned} if scan.turned else {}


def check_square(height: int, width: int) -> None:
    """Refuse windows that are not square.

    Raises
    ------
    ScanError

    Examples
    --------
    >>> check_square(64, 64)
    """
    if height != width:
        raise ScanError(
            f"`patterns` are {height}×{width}; square windows are needed: crop or pad the detector "
            "images around the direct beam."
        )


def _check_shapes(scan: Scan) -> None:
    shape = tuple(scan.patterns.shape)
    if len(shape) != 3:
        raise ScanError(
            f"`patterns` has shape {shape}, expected (n, N, N): one square image a position."
        )
    num_patterns, height, width = shape
    if num_patterns == 0:
        raise ScanError("The scan is empty: `patterns` holds no diffraction pattern.")
    check_square(height, width)
    if scan.quantity not in QUANTITIES:
        raise ScanError(f'`quantity` is {scan.quantity!r}, expected "counts" or "amplitude".')
    if scan.corners_px.shape != (num_patterns, 2):
        raise ScanError(
            f"There are {num_patterns} patterns but `corners_px` has shape {scan.corners_px.shape}, "
            f"expected ({num_patterns}, 2): one (y, x) corner for each pattern."
        )
    if not np.isfinite(scan.corners_px).all():
        index = int(np.flatnonzero(~np.isfinite(scan.corners_px).all(axis=1))[0])
        raise ScanError(
            f"Position {index} is not finite ({scan.corners_px[index]}); remove that position and "
            "its pattern from the file."
        )
    if scan.probe is not None and (scan.probe.ndim != 3 or scan.probe.shape[1:] != (height, width)):
        raise ScanError(
            f"`probe` has shape {scan.probe.shape}, expected (modes, {height}, {width}) as the patterns."
        )
    if scan.bad_pixels is not None and scan.bad_pixels.shape != (height, width):
        raise ScanError(
            f"`bad_pixels` has shape {scan.bad_pixels.shape}, expected ({height}, {width}) as the patterns."
        )
