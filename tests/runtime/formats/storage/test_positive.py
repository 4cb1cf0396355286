"""A number that says nothing is not dropped without a word."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime.formats import load_product, load_scan, save_product, save_scan
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan


@pytest.mark.parametrize("value", [0.0, -8.8e3, np.nan, np.inf])
@pytest.mark.parametrize("name", ["scan.npz", "train.h5", "folder"])
def test_a_number_that_is_not_positive_is_named(
    name: str, value: float, small_scan: Scan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    save_scan(small_scan, path)
    if name == "scan.npz":
        with np.load(path) as file:
            arrays = dict(file) | {"photon_energy_eV": value}
        np.savez(path, **arrays)
    elif name == "train.h5":
        with h5py.File(path, "r+") as file:
            file["photon_energy_eV"][()] = value
    else:
        with h5py.File(path / "product.h5", "r+") as file:
            del file["ptychonyx"]
            file.attrs["photon_energy_eV"] = value
    quantity = "counts" if name == "scan.npz" else None
    assert load_scan(path, quantity=quantity).photon_energy_eV is None
    assert "`photon_energy_eV` of" in caplog.text
    assert "taken as not known" in caplog.text


def test_our_own_products_say_so_by_a_zero(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    window = np.ones((1, 8, 8), dtype=np.complex64)
    object_ = np.ones((9, 12), np.complex64)
    product = Product(object_, (0, 0), np.zeros((1, 2)), np.arange(1), 8, window)
    save_product(product, tmp_path / "product.h5")
    assert load_product(tmp_path / "product.h5").photon_energy_eV is None
    assert caplog.text == ""
