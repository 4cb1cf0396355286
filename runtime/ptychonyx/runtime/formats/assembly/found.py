"""What a file says of a scan, before it is one: images as they were taken, positions in any unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...scan import Frame, PatternSource, Quantity


@dataclass(frozen=True)
class Positions:
    """Where the beam was.

    Attributes
    ----------
    values : float64 array, shape (k, 2)
        As (y, x).
    is_metres : bool
        Whether they are in metres; else in pixels of the object.
    origin : str
        What a position in pixels points at, one of `positions.POSITION_ORIGINS`.
    """

    values: NDArray[np.float64]
    is_metres: bool = True
    origin: str = "center"


@dataclass(frozen=True)
class Found:
    """What a file says of a scan; None is what it does not say.

    Attributes
    ----------
    path : Path
    kind : str
        Name of the format, for people.
    frames : PatternSource or None
        Images, shape (n, H, W): not yet square, and the beam anywhere.
    quantity : "counts" or "amplitude", or None
    positions : Positions or None
    frame_indexes, position_indexes : int64 array or None
        Scan index of each image, and of each position; by default both count from 0.
    probe : complex64 array, shape (modes, N, N), or None
    object_ : complex64 array, shape (H, W), or None
    object_frame : Frame or None
        Where the object lies in metres.
    bad_pixels : bool array, shape (H, W), or None
    photon_energy_eV, detector_distance_m : float or None
    detector_pixel_m, object_pixel_m : (float, float) or None
        As (y, x).
    beam_px : (float, float) or None
        Pixel (y, x) of the direct beam; whole numbers are the middles of pixels.
    is_raw : bool
        Whether the images come straight from a detector, so that the beam may be anywhere.
    name : str or None
    """

    path: Path
    kind: str
    frames: PatternSource | None = None
    quantity: Quantity | None = None
    positions: Positions | None = None
    frame_indexes: NDArray[np.int64] | None = None
    position_indexes: NDArray[np.int64] | None = None
    probe: NDArray[np.complex64] | None = None
    object_: NDArray[np.complex64] | None = None
    object_frame: Frame | None = None
    bad_pixels: NDArray[np.bool_] | None = None
    photon_energy_eV: float | None = None
    detector_distance_m: float | None = None
    detector_pixel_m: tuple[float, float] | None = None
    object_pixel_m: tuple[float, float] | None = None
    beam_px: tuple[float, float] | None = None
    is_raw: bool = False
    name: str | None = None
