"""Turn patterns and positions of a scan whose file has them the other way round."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError
from .scan import PatternSource, Scan

FLIPS = ("y", "x", "yx", "t", "ty", "tx", "tyx")
"""How patterns may be turned: axes exchanged (t), then reversed along y, along x."""
NEGATIONS = ("y", "x", "yx")


@dataclass(frozen=True)
class Turn:
    """How a scan differs from what its file holds.

    Attributes
    ----------
    dc_px : (int, int) or None
        Pixel (y, x) of the stored patterns that the direct beam hits; it is brought to N//2. None:
        it is there already.
    flip : str
        One of `FLIPS`, or "": patterns have their axes exchanged (t), and are then reversed along y
        and along x, about pixel N//2, which stays where it is.
    swap_positions : bool
        Whether y and x of the positions are exchanged.
    negate_positions : str
        One of `NEGATIONS`, or "": axes along which the positions are mirrored, after the exchange,
        about the middle of the canvas of their product, or else of the scan.

    Raises
    ------
    ScanError
        If a word is none of these.

    Examples
    --------
    >>> Turn(flip="x", negate_positions="yx").options
    '--flip x --negate-positions yx'
    """

    dc_px: tuple[int, int] | None = None
    flip: str = ""
    swap_positions: bool = False
    negate_positions: str = ""

    def __post_init__(self) -> None:
        for name, value, words in (
            ("flip", self.flip, FLIPS),
            ("negate_positions", self.negate_positions, NEGATIONS),
        ):
            if value and value not in words:
                raise ScanError(f"`{name}` is {value!r}, expected one of: {', '.join(words)}.")

    @property
    def options(self) -> str:
        """The options of commands that ask for it; "" for none."""
        parts = (
            "" if self.dc_px is None else f"--dc {self.dc_px[0]},{self.dc_px[1]}",
            f"--flip {self.flip}" if self.flip else "",
            "--swap-positions" if self.swap_positions else "",
            f"--negate-positions {self.negate_positions}" if self.negate_positions else "",
        )
        return " ".join(filter(None, parts))

    def changed(self, other: Turn) -> Turn:
        """Return this turn with what another one asks for in its place, field by field.

        Examples
        --------
        >>> Turn(flip="x", swap_positions=True).changed(Turn(flip="y")).options
        '--flip y --swap-positions'
        """
        asked = {field.name: getattr(other, field.name) for field in fields(self)}
        return replace(self, **{name: value for name, value in asked.items() if value})

    def apply(self, scan: Scan) -> Scan:
        """Return the turned scan; probe and object stay, and no pattern is read yet.

        Raises
        ------
        ScanError
            If `dc_px` is outside the patterns.

        Examples
        --------
        >>> patterns = np.arange(16.0).reshape(1, 4, 4)
        >>> scan = Scan(patterns, "counts", np.zeros((1, 2)))
        >>> Turn(flip="x").apply(scan).patterns[:][0, 0]
        array([0., 3., 2., 1.])
        """
        if self == NO_TURN:
            return scan
        side = scan.window_px
        if self.dc_px is not None and not all(0 <= each < side for each in self.dc_px):
            raise ScanError(
                f"`dc` is {self.dc_px}, but the patterns are {side}×{side}; give a pixel (y, x) of "
                "them."
            )
        bad = scan.bad_pixels
        return replace(
            scan,
            patterns=TurnedPatterns(scan.patterns, self)
            if self.dc_px or self.flip
            else scan.patterns,
            bad_pixels=None if bad is None else self.of_images(bad),
            corners_px=self.of_corners(scan),
            turned=" ".join(filter(None, (scan.turned, self.options))),
        )

    def of_images(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return turned detector images, shape (..., N, N)."""
        side = images.shape[-1]
        if self.dc_px is not None:
            shift = (side // 2 - self.dc_px[0], side // 2 - self.dc_px[1])
            images = np.roll(images, shift, axis=(-2, -1))
        if "t" in self.flip:
            images = images.swapaxes(-1, -2)
        mirrored = (2 * (side // 2) - np.arange(side)) % side
        if "y" in self.flip:
            images = images[..., mirrored, :]
        return images[..., mirrored] if "x" in self.flip else images

    def of_corners(self, scan: Scan) -> NDArray[np.float64]:
        """Return the corners (n, 2) of the turned scan."""
        corners_px = scan.corners_px
        half = scan.window_px / 2
        canvas = None if scan.frame is None else np.array(scan.frame.canvas_shape) / 2 - half
        if self.swap_positions:
            about = np.zeros(2) if canvas is None else canvas
            corners_px = (corners_px - about)[:, ::-1] + about
        for axis, name in enumerate("yx"):
            if name in self.negate_positions:
                column = corners_px[:, axis]
                middle = (column.min() + column.max()) / 2 if canvas is None else canvas[axis]
                corners_px = corners_px.copy()
                corners_px[:, axis] = 2 * middle - column
        return np.ascontiguousarray(corners_px)


NO_TURN = Turn()


def pixel_from_text(text: str) -> tuple[int, int]:
    """Return a pixel (y, x).

    Raises
    ------
    ValueError
        If the text is no two whole numbers.

    Examples
    --------
    >>> pixel_from_text("31,32")
    (31, 32)
    """
    try:
        y, x = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"`dc` is {text!r}; give a pixel as Y,X, like 0,0.") from None
    return y, x


@dataclass(frozen=True)
class TurnedPatterns:
    """Offer the patterns of a source turned, without reading them."""

    source: PatternSource
    turn: Turn

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, N, N)."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype as stored."""
        return self.source.dtype

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Read the patterns of one slice, or of increasing indexes."""
        return self.turn.of_images(self.source[key])
