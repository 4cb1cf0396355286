"""Products of reconstructions in any format that has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..files import Output
from ..product import Product
from . import ptychodus_product, ptychodus_scan
from .beamline import cxi, cxi_product, cxi_writing, ptypy_result
from .readers import PRODUCT_FORMAT, READERS, reader_for
from .storage.kinds import kind_of

CXI_ENDING = ".cxi"
LOADERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Product]], ...] = (
    (ptypy_result.recognises, ptypy_result.read_product),
    (cxi_product.recognises, cxi_product.read_product),
)
"""What recognises a product in an HDF5 file, and what reads it; all others are Ptychodus'."""


def holds_product(path: Path) -> bool:
    """Tell whether a file is a product, not a scan: it has no patterns, and none lie beside it.

    Raises
    ------
    ScanError
        If it is of no known format, or cannot be read.
    """
    if not path.is_file():
        return False
    if is_foreign_product(path):
        return True
    if reader_for(path) is not READERS[PRODUCT_FORMAT]:
        return False
    product, patterns = ptychodus_scan.pair_of(path)
    return product == path and (ptychodus_product.is_result(path) or not patterns.is_file())


def is_foreign_product(path: Path) -> bool:
    """Tell whether a file is a result of ptypy, or CXI without patterns.

    Examples
    --------
    >>> is_foreign_product(Path("nowhere.h5"))
    False
    """
    if kind_of(path) != "hdf5":
        return False
    if ptypy_result.recognises(path):
        return True
    return cxi.recognises(path) and cxi.find(path).frames is None


def product_outputs(path: Path) -> list[Output]:
    """Return the file that `write_product` writes, as `check_outputs` takes it."""
    own = ptychodus_product.product_output(path)
    return [replace(own, endings=(*own.endings, CXI_ENDING))]


def write_product(product: Product, path: Path) -> None:
    """Write a product as HDF5 or NPZ for Ptychodus, or as CXI.

    Raises
    ------
    ValueError
        For another ending; for CXI also if the product does not know its pixel size.
    """
    if path.suffix.lower() == CXI_ENDING:
        cxi_writing.write_product(product, path)
    else:
        ptychodus_product.save_product(product, path)


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
