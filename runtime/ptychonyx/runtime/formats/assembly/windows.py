"""Cropping and binning of patterns around the beam, and what that does to the rest of a scan.

Cropping the detector to n of N pixels makes the object's pixel N/n times as large; binning b pixels
to one keeps the object's pixel, and the window shows N/b pixels of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scan import Frame, PatternSource, Scan

NUM_SAMPLED = 16
"""Images that are looked at to find the beam."""
BATCH_BYTES = 2**27
"""Images are cropped in batches of about this size."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Windows:
    """Windows of images, cut when they are read.

    Attributes
    ----------
    source : PatternSource
        Images (n, H, W).
    corner_px : (int, int)
        First row and column of the window.
    side_px : int
        Side of the window before binning.
    binning : int
        Each bin sums so many pixels in either direction; it divides `side_px`.
    is_amplitude : bool
        Whether the images hold amplitudes, of which the squares add up.
    """

    source: PatternSource
    corner_px: tuple[int, int]
    side_px: int
    binning: int = 1
    is_amplitude: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, N, N)."""
        side = self.side_px // self.binning
        return (self.source.shape[0], side, side)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype as stored; that of sums, if pixels are binned."""
        stored = self.source.dtype
        if self.binning == 1:
            return stored
        if self.is_amplitude or stored.kind == "f":
            return np.result_type(stored, np.float32)
        return np.dtype(np.int64 if stored.kind == "i" else np.uint64)

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Read the windows of one slice, or of some indexes."""
        rows = np.arange(self.shape[0])[key]
        in_batch = max(1, BATCH_BYTES // self._image_bytes())
        windows = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for start in range(0, len(rows), in_batch):
            part = slice(start, start + in_batch)
            windows[part] = self._cut(self.source[rows[part]])
        return windows

    def _cut(self, images: NDArray[Any]) -> NDArray[Any]:
        (y, x), side, bins = self.corner_px, self.side_px, self.binning
        windows = images[:, y : y + side, x : x + side]
        if bins == 1:
            return windows
        num = side // bins
        blocks = windows.reshape(-1, num, bins, num, bins)
        if self.is_amplitude:
            power = np.square(blocks, dtype=np.float64).sum(axis=(2, 4))
            return np.asarray(np.sqrt(power).astype(self.dtype))
        return np.asarray(blocks.sum(axis=(2, 4), dtype=self.dtype))

    def _image_bytes(self) -> int:
        return int(np.prod(self.source.shape[1:])) * self.source.dtype.itemsize


def cut_mask(windows: Windows, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Return bad pixels of the windows from those of the images; a bin with a bad pixel is bad."""
    if mask is None:
        return None
    (y, x), side, bins = windows.corner_px, windows.side_px, windows.binning
    num = side // bins
    cut = mask[y : y + side, x : x + side]
    return np.asarray(cut.reshape(num, bins, num, bins).any(axis=(1, 3)))


def find_beam(
    frames: PatternSource, bad_pixels: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Return the pixel (y, x) of the direct beam: the centre of what is bright in the mean image.

    Examples
    --------
    >>> frames = np.zeros((3, 20, 30))
    >>> frames[:, 6:11, 13:18] = 9
    >>> find_beam(frames)
    (8.0, 15.0)
    """
    rows = np.unique(np.linspace(0, frames.shape[0] - 1, NUM_SAMPLED).astype(np.int64))
    total = np.zeros(frames.shape[1:])
    for row in rows:
        image = frames[row : row + 1][0].astype(np.float64)
        if frames.dtype.kind in "iu":
            image[image == np.iinfo(frames.dtype).max] = 0  # gaps between modules
        total += np.nan_to_num(image, posinf=0.0, neginf=0.0)
    if bad_pixels is not None:
        total[bad_pixels] = 0
    bright = np.where(total > total.max(initial=0) / 4, total, 0.0)
    if bright.sum() == 0:
        return frames.shape[1] // 2, frames.shape[2] // 2
    y, x = (
        float((bright.sum(axis=1 - axis) * np.arange(bright.shape[axis])).sum() / bright.sum())
        for axis in (0, 1)
    )
    return y, x


def nearest(place: float) -> int:
    """Return the pixel of a place; of one between two, the later, as N // 2 is.

    Examples
    --------
    >>> nearest(14.5), nearest(31.5)
    (15, 32)
    """
    return int(np.floor(place + 0.5))


def square_windows(
    frames: PatternSource, beam_px: tuple[float, float], side_px: int | None, what: str
) -> Windows:
    """Cut square windows around the beam, which then is at their pixel (N // 2, N // 2).

    Parameters
    ----------
    frames : PatternSource
        Images (n, H, W).
    beam_px : (float, float)
    side_px : int or None
        N; None takes the largest even one.
    what : str
        Names the images, for errors.

    Raises
    ------
    ScanError
        If no such window fits around the beam.
    """
    height, width = frames.shape[1:]
    y, x = (nearest(value) for value in beam_px)
    largest = max(0, 2 * min(y, x, height - y, width - x))
    side = largest if side_px is None else side_px
    sides = ((y, height), (x, width))
    if side < 2 or any(
        middle < side // 2 or middle - side // 2 + side > length for middle, length in sides
    ):
        wanted = "" if side_px is None else f", not the {side_px} of `--crop`"
        raise ScanError(
            f"{what} has images of {height}×{width} with the beam at ({y}, {x}), around which at most "
            f"{largest} pixels fit{wanted}: give a smaller `--crop`, or say `beam_center` in a map "
            "(`--map`)."
        )
    return Windows(frames, (y - side // 2, x - side // 2), side)


def cut_scan(scan: Scan, crop_px: int | None, binning: int | None) -> Scan:
    """Return a scan with smaller patterns, cut around their middle, and all that follows from it.

    Parameters
    ----------
    scan : Scan
    crop_px : int or None
        Side of the windows, before binning.
    binning : int or None
        Pixels that are summed to one, in either direction.

    Raises
    ------
    ScanError
        If the patterns are too small for that.

    Examples
    --------
    >>> scan = Scan(np.ones((2, 8, 8)), "counts", np.array([[0.0, 0], [2, 4]]), pixel_size_m=1e-8)
    >>> small = cut_scan(scan, 4, None)
    >>> small.window_px, small.pixel_size_m, small.corners_px.tolist()
    (4, 2e-08, [[0.0, 0.0], [1.0, 2.0]])
    """
    if crop_px is not None and crop_px != scan.window_px:
        scan = _crop(scan, crop_px)
    if binning is not None and binning != 1:
        scan = _bin(scan, binning)
    return scan


def _crop(scan: Scan, side: int) -> Scan:
    whole = scan.window_px
    if not 2 <= side <= whole or side % 2:
        raise ScanError(
            f"`crop` is {side}, but the patterns are {whole}×{whole}; an even number from 2 to {whole} "
            "is needed: give another."
        )
    share = side / whole
    middle = whole // 2 - side // 2
    windows = Windows(scan.patterns, (middle, middle), side)
    _logger.warning(
        "Patterns are cropped from %d to %d pixels around their middle: the object's pixel is %.4g "
        "times as large%s.",
        whole,
        side,
        1 / share,
        "" if scan.object_ is None else ", and the file's object is left out",
    )
    return replace(
        scan,
        patterns=windows,
        corners_px=scan.corners_px * share,
        probe=None if scan.probe is None else crop_probe(scan.probe, side),
        object_=None,
        object_corner_px=(0.0, 0.0),
        bad_pixels=cut_mask(windows, scan.bad_pixels),
        pixel_size_m=None if scan.pixel_size_m is None else scan.pixel_size_m / share,
        frame=None if scan.frame is None else _coarser(scan.frame, share),
    )


def _coarser(frame: Frame, share: float) -> Frame:
    """Return the frame with larger pixels; its top-left corner stays where it is."""
    y, x = frame.pixel_size_m
    shape = (round(frame.canvas_shape[0] * share), round(frame.canvas_shape[1] * share))
    moved = [
        center + (new / share - old) / 2 * pixel
        for center, new, old, pixel in zip(
            frame.center_m, shape, frame.canvas_shape, frame.pixel_size_m, strict=True
        )
    ]
    return Frame(shape, (moved[0], moved[1]), (y / share, x / share))


def crop_probe(probe: NDArray[np.complex64], side: int) -> NDArray[np.complex64]:
    """Return a probe on a coarser grid, as a detector of fewer pixels sees it.

    Examples
    --------
    >>> crop_probe(np.ones((1, 8, 8), np.complex64), 4).real.round(3)[0, 0].tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    axes = (-2, -1)
    whole = probe.shape[-1]
    middle = whole // 2 - side // 2
    far = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe, axes), norm="ortho"), axes)
    far = far[..., middle : middle + side, middle : middle + side]
    near = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(far, axes), norm="ortho"), axes)
    return near.astype(np.complex64)


def _bin(scan: Scan, bins: int) -> Scan:
    whole = scan.window_px
    if bins < 1 or whole % bins or whole // bins < 2:
        raise ScanError(
            f"`bin` is {bins}, but the patterns are {whole}×{whole}; a number that divides {whole} is "
            "needed: give another, or `--crop` first."
        )
    side = whole // bins
    windows = Windows(scan.patterns, (0, 0), whole, bins, scan.quantity == "amplitude")
    start = whole // 2 - side // 2
    probe = (
        None if scan.probe is None else scan.probe[:, start : start + side, start : start + side]
    )
    lost = _power_outside(scan.probe, probe)
    _logger.warning(
        "Patterns are binned from %d to %d pixels: each window shows %d pixels of the object%s.",
        whole,
        side,
        side,
        f", which leave out {100 * lost:.1f} % of the probe's power" if lost else "",
    )
    return replace(
        scan,
        patterns=windows,
        corners_px=scan.corners_px + start,
        probe=None if probe is None else np.ascontiguousarray(probe),
        bad_pixels=cut_mask(windows, scan.bad_pixels),
    )


def _power_outside(whole: NDArray[Any] | None, part: NDArray[Any] | None) -> float:
    if whole is None or part is None:
        return 0.0
    total = float(np.sum(np.abs(whole.astype(np.complex128)) ** 2))
    inside = float(np.sum(np.abs(part.astype(np.complex128)) ** 2))
    return 1 - inside / total if total else 0.0
