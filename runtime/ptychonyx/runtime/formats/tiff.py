"""An object as two TIFF pictures of 32-bit floats, amplitude and phase, with the size of their pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..files import Output, write_atomically

ENDINGS = (".tif", ".tiff")
PARTS = ("amplitude", "phase")
CENTIMETRE = "CENTIMETER"


def tiff_outputs(path: Path) -> list[Output]:
    """Return the files that `write_tiffs` writes.

    Examples
    --------
    >>> [each.path.name for each in tiff_outputs(Path("star.tif"))]
    ['star_amplitude.tif', 'star_phase.tif']
    """
    names = (path.with_name(f"{path.stem}_{part}{path.suffix}") for part in PARTS)
    return [Output(name, ENDINGS, what="picture") for name in names]


def write_tiffs(
    object_: NDArray[np.complex64],
    path: Path,
    *,
    pixel_size_m: float | None = None,
    coverage: NDArray[np.int32] | None = None,
    unwrap: bool = False,
) -> None:
    """Write amplitude and phase of an object, in the order of its rows and columns.

    Parameters
    ----------
    object_ : complex64 array, shape (H, W)
    path : Path
        "star.tif" is written as star_amplitude.tif and star_phase.tif.
    pixel_size_m : float, optional
        Written as the pictures' resolution, and into their description.
    coverage : int array, shape (H, W), optional
        Where it is 0, both pictures are 0.
    unwrap : bool
        Whether to take jumps of 2π out of the phase; needs scikit-image.

    Raises
    ------
    RuntimeError
        If tifffile is not installed, or scikit-image is needed and is not.
    """
    is_seen = np.ones(object_.shape, np.bool_) if coverage is None else coverage > 0
    wrapped: NDArray[Any] = np.angle(object_)
    phase = unwrapped(wrapped, is_seen) if unwrap else wrapped
    amplitude_output, phase_output = tiff_outputs(path)
    pictures = (
        (amplitude_output.path, np.abs(object_), "amplitude", ""),
        (phase_output.path, phase, "phase", "rad"),
    )
    for name, values, what, unit in pictures:
        picture = np.where(is_seen, values, 0).astype(np.float32)
        description = {"what": what, "unit": unit, "pixel_size_m": pixel_size_m}
        _write(name, picture, description, pixel_size_m)


def unwrapped(phase: NDArray[Any], is_seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a phase without jumps of 2π between neighbours; its median keeps its place within π.

    Examples
    --------
    >>> ramp = np.tile(np.arange(30) * 0.5, (4, 1))
    >>> wrapped = np.angle(np.exp(1j * ramp))
    >>> np.allclose(np.diff(unwrapped(wrapped, wrapped > -9), axis=1), 0.5)
    True
    """
    try:
        from skimage.restoration import unwrap_phase
    except ImportError:
        raise RuntimeError(
            "The phase is to be unwrapped, but scikit-image is not installed: pip install "
            "'ptychonyx[compare]'"
        ) from None
    hidden = np.ma.array(phase.astype(np.float64), mask=~is_seen)
    smooth = np.ma.filled(unwrap_phase(hidden, rng=0), 0.0)
    middle = float(np.median(smooth[is_seen])) if is_seen.any() else 0.0
    return np.asarray(smooth - 2 * np.pi * np.round(middle / (2 * np.pi)))


def _write(
    path: Path, picture: NDArray[np.float32], description: dict[str, Any], pixel_m: float | None
) -> None:
    try:
        import tifffile
    except ImportError:
        raise RuntimeError(
            "A TIFF picture is to be written, but tifffile is not installed: pip install "
            "'ptychonyx[compare]'"
        ) from None
    size: dict[str, Any] = {}
    if pixel_m is not None:
        in_centimetre = 1e-2 / pixel_m
        size = {"resolution": (in_centimetre, in_centimetre), "resolutionunit": CENTIMETRE}

    def write(out: BinaryIO) -> None:
        tifffile.imwrite(
            out,
            picture,
            photometric="minisblack",
            description=json.dumps(description),
            metadata=None,
            software="Ptychonyx",
            **size,
        )

    write_atomically(path, write)
