"""Products of reconstructions in any format that has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..product import Product
from . import ptychodus_product
from .beamline import cxi_product, ptypy_result
from .storage.kinds import kind_of

LOADERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Product]], ...] = (
    (ptypy_result.recognises, ptypy_result.read_product),
    (cxi_product.recognises, cxi_product.read_product),
)
"""What recognises a product in an HDF5 file, and what reads it; all others are Ptychodus'."""


def load_product(path: str | Path) -> Product:
    """Read a product: what `save_product` wrote, one of Ptychodus', CXI, or a result of ptypy.

    Where another program wrote it, what only Ptychonyx writes is missing: `coverage`,
    `disagreement`, residuals, `ring_correlation` and `num_patterns_used` are None, `metadata` is
    empty.

    Parameters
    ----------
    path : path

    Raises
    ------
    ScanError
        If it is no readable product.
    """
    path = Path(path)
    if kind_of(path) == "hdf5":
        for recognises, load in LOADERS:
            if recognises(path):
                return load(path)
    return ptychodus_product.load_product(path)
