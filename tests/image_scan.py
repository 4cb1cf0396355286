"""A scan whose patterns are windows of a known image, which the tiny model gives back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan

FACTOR = np.complex64(1 + 0.5j)
SIDE, PATCH, OFFSET = 8, 4, 2


def make_scan(*, fractional: bool = False, **changes: Any) -> tuple[Scan, NDArray[np.float32]]:
    """Return a scan of 144 overlapping windows, and their image."""
    rng = np.random.default_rng(0)
    image = rng.random((30, 41)).astype(np.float32) + np.float32(0.1)
    ys, xs = np.meshgrid(np.arange(0, 23, 2), np.arange(0, 34, 3), indexing="ij")
    corners = rng.permutation(np.stack([ys.ravel(), xs.ravel()], axis=-1))
    windows = [image[y : y + SIDE, x : x + SIDE] for y, x in corners]
    shift = np.array([0.25, 0.5]) if fractional else np.array([-7.0, 12.0])
    scan = Scan(np.stack(windows), "amplitude", corners + shift, name="image")
    return dataclasses.replace(scan, **changes), image


def covered_by(product: Product) -> NDArray[np.bool_]:
    """Return the pixels of a product that patches cover."""
    assert product.coverage is not None
    return np.asarray(product.coverage > 0)
