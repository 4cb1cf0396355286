"""From what was found in a file to a scan: paired, cut to square windows, positions in pixels."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scan import Frame, PatternSource, Quantity, Scan, SomePatterns
from ..options import ScanOptions
from ..positions import corners_from_metres, corners_from_positions
from .found import Found, Positions
from .pairing import Pairs, pair
from .units import object_pixel_m
from .windows import Windows, crop_probe, cut_mask, find_beam, nearest, square_windows

_logger = logging.getLogger(__name__)


def assemble(found: Found, options: ScanOptions) -> Scan:
    """Make a scan of what was found.

    Images that are not square, come straight from a detector, or have to be cropped, are cut around
    the beam. Positions in metres become pixels of the object by the far field's rule.

    Parameters
    ----------
    found : Found
    options : ScanOptions
        Three of them are used: `quantity`, `position_origin` and `crop_px`.

    Returns
    -------
    Scan

    Raises
    ------
    ScanError
        If patterns, positions or what their unit needs are missing; names the option that helps.
    """
    frames, positions = _both(found)
    quantity = options.quantity or found.quantity or _told_quantity(found, frames)
    pairs = _paired(found, frames, positions)
    windows, bad_pixels, found = _windows(found, frames, options.crop_px)
    side = windows.shape[1]
    pixel_m = _object_pixel_m(found, side)
    if positions.is_metres:
        frame = _frame(found, pairs, side, pixel_m, options.position_origin)
        corners_px = corners_from_metres(pairs.positions, side, frame)
        origin = "metres"
    else:
        origin = options.position_origin or positions.origin
        frame = None
        corners_px = corners_from_positions(pairs.positions, side, origin=origin)
    is_whole = len(pairs.rows) == windows.shape[0]
    return Scan(
        patterns=windows if is_whole else SomePatterns(windows, pairs.rows),
        quantity=quantity,
        corners_px=corners_px,
        probe=_fitting_probe(found, side),
        object_=found.object_,
        bad_pixels=bad_pixels,
        pixel_size_m=None if pixel_m is None else pixel_m[1],
        photon_energy_eV=found.photon_energy_eV,
        detector_distance_m=found.detector_distance_m,
        frame=frame,
        position_indexes=pairs.indexes,
        position_origin=origin,
        name=found.name or found.path.stem,
    )


def _both(found: Found) -> tuple[PatternSource, Positions]:
    """Return patterns and positions, or say which are missing."""
    if found.frames is None:
        raise ScanError(
            f"{found.path} is a file of the kind {found.kind}, but holds no patterns; a scan needs "
            "them: name the file that does with `--patterns`, or where they lie with `--map`."
        )
    if found.positions is None:
        num, height, width = found.frames.shape
        raise ScanError(
            f"{found.path} is a file of the kind {found.kind} with {num} images of {height}×{width}, "
            f"{found.frames.dtype}, but holds no positions; a scan needs them: say where they lie with "
            "`--map` (`ptychonyx inspect FILE --map-template` prints one to fill in)."
        )
    if found.frames.shape[0] == 0 or len(found.positions.values) == 0:
        raise ScanError(
            f"The scan is empty: {found.path} has {found.frames.shape[0]} patterns and "
            f"{len(found.positions.values)} positions; at least one of each is needed: check how the "
            "file was made."
        )
    return found.frames, found.positions


def _told_quantity(found: Found, frames: PatternSource) -> Quantity:
    """Take whole numbers by their dtype for counts: detectors count; others must be named."""
    if frames.dtype.kind in "iub":
        return "counts"
    raise ScanError(
        f"{found.path} has patterns of {frames.dtype}, which may be counts or amplitudes; `quantity` must "
        "say which: `--quantity counts` or `--quantity amplitude`, or `quantity` in a map."
    )


def _paired(found: Found, frames: PatternSource, positions: Positions) -> Pairs:
    num, num_positions = frames.shape[0], len(positions.values)
    if found.frame_indexes is None and found.position_indexes is None and num != num_positions:
        raise ScanError(
            f"{found.path} has {num} patterns but {num_positions} positions, and no scan indexes; each "
            "pattern needs one: say `indexes` of patterns and positions in a map (`--map`)."
        )
    sources = ((found.frame_indexes, num), (found.position_indexes, num_positions))
    indexes = [np.arange(num) if given is None else given for given, num in sources]
    for given, (_, expected), what in zip(indexes, sources, ("patterns", "positions"), strict=True):
        if len(given) != expected:
            raise ScanError(
                f"{found.path} has {expected} {what} but {len(given)} indexes for them; each needs one: "
                "correct the file, or leave `indexes` out of the map."
            )
    if not np.isfinite(positions.values).all():
        wrong = int(np.flatnonzero(~np.isfinite(positions.values).all(axis=1))[0])
        raise ScanError(
            f"Position {wrong} of {found.path} is not finite ({positions.values[wrong]}); finite "
            "numbers are needed: remove that position and its pattern from the file."
        )
    return pair(indexes[0], indexes[1], positions.values, found.path)


def _windows(
    found: Found, frames: PatternSource, side: int | None
) -> tuple[PatternSource, NDArray[np.bool_] | None, Found]:
    """Return square windows and their bad pixels; what is said of whole images follows."""
    height, width = frames.shape[1:]
    bad_pixels = found.bad_pixels
    if bad_pixels is not None and bad_pixels.shape != (height, width):
        raise ScanError(
            f"The mask of {found.path} has shape {bad_pixels.shape}, but the images are {height}×{width}; "
            "one of their size is needed: say another in a map (`--map`)."
        )
    beam = _inside(found.beam_px, height, width)
    is_centered = beam is None or all(
        nearest(place) == length // 2 for place, length in zip(beam, (height, width), strict=True)
    )
    if height == width and (is_centered or not (found.is_raw or side is not None)):
        return frames, bad_pixels, found
    known = beam or find_beam(frames, bad_pixels)
    windows = square_windows(frames, known, side, str(found.path))
    _say_crop(found, windows, known, is_found=beam is None)
    if found.object_pixel_m is not None:  # it is that of the whole images
        y, x = found.object_pixel_m
        sides = (y * height / windows.side_px, x * width / windows.side_px)
        found = replace(found, object_pixel_m=sides, object_=None, object_frame=None)
    return windows, cut_mask(windows, bad_pixels), found


def _inside(
    beam: tuple[float, float] | None, height: int, width: int
) -> tuple[float, float] | None:
    """Return the beam's pixel, unless it is a place where files put it that do not know."""
    if beam is None or not (0 < beam[0] < height and 0 < beam[1] < width):
        return None
    return beam


def _say_crop(found: Found, windows: Windows, beam: tuple[float, float], *, is_found: bool) -> None:
    height, width = windows.source.shape[1:]
    _logger.warning(
        "%s: images of %d×%d are cropped to %d×%d around the beam at (%.1f, %.1f), %s.",
        found.path,
        height,
        width,
        windows.side_px,
        windows.side_px,
        *beam,
        "the middle of what is bright" if is_found else "as the file says",
    )


def _object_pixel_m(found: Found, side: int) -> tuple[float, float] | None:
    """Return the object's pixel: as the file says, or by the far field's rule."""
    if found.object_pixel_m is not None:
        return found.object_pixel_m
    known = (found.photon_energy_eV, found.detector_distance_m, found.detector_pixel_m)
    if any(value is None for value in known):
        return None
    assert found.photon_energy_eV is not None
    assert found.detector_distance_m is not None
    assert found.detector_pixel_m is not None
    return object_pixel_m(
        found.photon_energy_eV, found.detector_distance_m, found.detector_pixel_m, side
    )


def _frame(
    found: Found,
    pairs: Pairs,
    side: int,
    pixel_m: tuple[float, float] | None,
    position_origin: str | None,
) -> Frame:
    """Return where the scan lies in metres: as its object does, or just around its windows."""
    if position_origin is not None:
        raise ScanError(
            f"`position_origin` is {position_origin!r}, but the positions of {found.path} are in metres, "
            "which leave no choice; leave it out."
        )
    if pixel_m is None:
        names = {
            "photon energy": found.photon_energy_eV,
            "detector distance": found.detector_distance_m,
            "detector pixel": found.detector_pixel_m,
        }
        missing = " and ".join(name for name, value in names.items() if value is None)
        raise ScanError(
            f"The positions of {found.path} ({found.kind}) are in metres, and the {missing} are missing, "
            "by which they become pixels; say them, or `object_pixel`, in a map (`--map`)."
        )
    if found.object_frame is not None:
        return found.object_frame
    low, high = pairs.positions.min(axis=0), pairs.positions.max(axis=0)
    middle = (low + high) / 2
    height, width = (
        math.ceil(min(extent / pixel, 1e9)) + side
        for extent, pixel in zip(high - low, pixel_m, strict=True)
    )
    return Frame((height, width), (float(middle[0]), float(middle[1])), pixel_m)


def _fitting_probe(found: Found, side: int) -> NDArray[np.complex64] | None:
    """Return the probe for windows of this size, or None if it fits neither them nor the images."""
    probe = found.probe
    if probe is None or probe.shape[-1] == side:
        return probe
    assert found.frames is not None
    if probe.shape[-2:] == tuple(found.frames.shape[1:]):
        return crop_probe(probe, side)
    _logger.warning(
        "%s: the probe is %d×%d, but the patterns are %d×%d: it is left out.",
        found.path,
        *probe.shape[-2:],
        side,
        side,
    )
    return None
