"""A network on canvases of any size: padded to whole strides, and in tiles where they are large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .correction import Network

Real = NDArray[np.float32]

TILE_PX = 2048
"""Side of the largest canvas that a network sees at once: it then needs about 1 GB."""
MARGIN_PX = 160
"""What a pixel of the output depends on lies within so many pixels; tiles overlap by twice that, so
that they give the same as the whole canvas."""


def change_of_canvas(network: Network, images: Real, *, tile_px: int = TILE_PX) -> Real:
    """Return a network's change (2, H, W) for the features of a whole canvas.

    Parameters
    ----------
    network : Network
    images : float32 array, shape (NUM_FEATURES, H, W)
        Any height and width; zeros stand for what lies beyond the canvas.
    tile_px : int
        Largest side of a tile, margins included; more than twice `MARGIN_PX`.
    """
    height, width = images.shape[1:]
    change = np.empty((2, height, width), np.float32)
    for rows, seen_rows in _tiles(height, tile_px, network.stride):
        for columns, seen_columns in _tiles(width, tile_px, network.stride):
            seen = _padded(images[:, seen_rows, seen_columns], network.stride)
            top, left = rows.start - seen_rows.start, columns.start - seen_columns.start
            kept = (
                slice(top, top + rows.stop - rows.start),
                slice(left, left + columns.stop - columns.start),
            )
            change[:, rows, columns] = network.change(seen)[:, kept[0], kept[1]]
    return change


def _tiles(length: int, tile_px: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """Yield the pixels of each tile, and those around them that the network must see.

    All begin at multiples of the stride, as the network halves images by pairs of pixels.

    Examples
    --------
    >>> [(own.start, own.stop, seen.start, seen.stop) for own, seen in _tiles(900, 512, 16)]
    [(0, 192, 0, 352), (192, 384, 32, 544), (384, 576, 224, 736), (576, 768, 416, 900), (768, 900, 608, 900)]
    """
    if length <= tile_px:
        yield slice(0, length), slice(0, length)
        return
    step = (tile_px - 2 * MARGIN_PX) // stride * stride
    for start in range(0, length, step):
        stop = min(length, start + step)
        yield slice(start, stop), slice(max(0, start - MARGIN_PX), min(length, stop + MARGIN_PX))


def _padded(images: Real, stride: int) -> Real:
    height, width = images.shape[1:]
    beyond = (0, 0), (0, -height % stride), (0, -width % stride)
    return np.ascontiguousarray(np.pad(images, beyond))
