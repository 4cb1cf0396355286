"""What a user may say about a scan file beyond its path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import AxisError, ScanError
from ..scan import QUANTITIES, Quantity
from .positions import POSITION_ORIGINS


@dataclass(frozen=True)
class ScanOptions:
    """What a file does not say, or says wrongly; None leaves it to the file and its format.

    Attributes
    ----------
    quantity : "counts" or "amplitude", or None
        What the numbers of the patterns are.
    position_origin : str or None
        What pixel positions point at, one of `positions.POSITION_ORIGINS`.
    patterns_path : Path or None
        Where the patterns of a Ptychodus product are, if not beside it.
    pattern_axis : "first" or "last", or None
        Which axis of an NPZ counts patterns; needed where the shape does not tell.
    map_path : Path or None
        YAML file that says where patterns, positions and the rest lie.
    keys : tuple of (str, str)
        What is where, in words of the map: ("patterns", "dp").
    crop_px : int or None
        Side of the windows that are cut from the patterns around the beam, before binning.
    bin : int or None
        Pixels that are summed to one, in either direction.

    Examples
    --------
    >>> ScanOptions(quantity="intensity")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ScanError: `quantity` is 'intensity', expected one of: "counts", \
"amplitude".
    """

    quantity: Quantity | None = None
    position_origin: str | None = None
    patterns_path: Path | None = None
    pattern_axis: str | None = None
    map_path: Path | None = None
    keys: tuple[tuple[str, str], ...] = ()
    crop_px: int | None = None
    bin: int | None = None

    def __post_init__(self) -> None:
        _check_word("quantity", self.quantity, QUANTITIES)
        _check_word("pattern_axis", self.pattern_axis, AxisError.CHOICES)
        _check_word("position_origin", self.position_origin, tuple(POSITION_ORIGINS))


def _check_word(name: str, value: str | None, words: tuple[str, ...]) -> None:
    if value is not None and value not in words:
        quoted = ", ".join(f'"{word}"' for word in words)
        raise ScanError(f"`{name}` is {value!r}, expected one of: {quoted}.")
