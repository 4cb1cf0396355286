"""A byte that is flipped on a disk or on its way is an error, and never another result."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from format_files import make_product

from ptychonyx.runtime import load_product, load_scan, save_product
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scaling import counts_per_pattern
from ptychonyx.runtime.scan import Scan


def write_all(scan: Scan, folder: Path) -> list[Path]:
    """Write every kind of HDF5 file that we write."""
    save_scan(scan, folder)
    save_scan(scan, folder / "train.h5")
    residuals = {"pattern_residuals": np.ones(7, np.float32), "pass_residuals": np.ones(3)}
    save_product(make_product(**residuals), folder / "result.h5")
    return sorted(folder.glob("*.h5"))


def unprotected(file: h5py.File) -> list[str]:
    found = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.size and not item.fletcher32:
            layout = item.id.get_create_plist().get_layout()
            if layout != h5py.h5d.COMPACT:  # within the header, which has a checksum
                found.append(name)

    file.visititems(visit)
    return found


def test_every_dataset_has_a_checksum(small_scan: Scan, tmp_path: Path) -> None:
    paths = write_all(small_scan, tmp_path)
    assert len(paths) == 4
    for path in paths:
        with h5py.File(path) as file:
            assert unprotected(file) == []


def test_the_lists_of_chunks_have_checksums(small_scan: Scan, tmp_path: Path) -> None:
    """Those of HDF5 1.8, B-trees, had none: a flipped byte moved a chunk, and zeros were read."""
    for path in write_all(small_scan, tmp_path):
        assert b"TREE" not in path.read_bytes(), path.name


def test_a_flipped_digit_of_the_metadata_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "product.h5"
    save_product(make_product(metadata={"residual": 0.03125}), path)
    flip(path, path.read_bytes().index(b"0.03125") + 2)
    with pytest.raises(ScanError, match=r"is not a readable HDF5 file .*damaged"):
        load_product(path)


@pytest.mark.parametrize("note", ["", "σ", "x" * 100_000])
def test_metadata_of_any_length_are_read_back(note: str, tmp_path: Path) -> None:
    product = make_product(metadata={"note": note})
    save_product(product, tmp_path / "product.h5")
    assert load_product(tmp_path / "product.h5").metadata == product.metadata


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["object", "probe", "probe_position_y_m", "ptychonyx/coverage"])
def test_a_flipped_byte_of_a_product_is_noticed(name: str, tmp_path: Path) -> None:
    path = tmp_path / "product.h5"
    save_product(make_product(), path)
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(0)
    flip(path, chunk.byte_offset + chunk.size // 2)
    with pytest.raises(ScanError, match=r"is not a readable HDF5 file .*damaged"):
        load_product(path)


@pytest.mark.parametrize("name", ["diffraction.h5", "train.h5"])
def test_a_flipped_byte_of_patterns_is_noticed(name: str, small_scan: Scan, tmp_path: Path) -> None:
    write_all(small_scan, tmp_path)
    with h5py.File(tmp_path / name) as file:
        chunk = file["patterns"].id.get_chunk_info(2)
    flip(tmp_path / name, chunk.byte_offset + chunk.size // 2)
    scan = load_scan(tmp_path / name)
    with pytest.raises(ScanError, match=r"is not a readable HDF5 file .*damaged"):
        counts_per_pattern(scan)


@pytest.mark.parametrize("name", ["result.h5", "train.h5"])
def test_a_flipped_byte_of_a_number_is_noticed(name: str, small_scan: Scan, tmp_path: Path) -> None:
    """A number of a product is an attribute, one of training data a dataset."""
    write_all(small_scan, tmp_path)
    path = tmp_path / name
    energy_eV = 8800.0 if name == "result.h5" else small_scan.photon_energy_eV
    content = path.read_bytes()
    stored = struct.pack("<d", energy_eV)
    assert stored in content
    flip(path, content.index(stored) + 5)
    with pytest.raises(ScanError, match=r"is not a readable HDF5 file .*damaged"):
        load_product(path) if name == "result.h5" else load_scan(path)


def test_equal_contents_are_equal_bytes(small_scan: Scan, tmp_path: Path) -> None:
    # a run that is resumed tells by them whether its scan is still the same
    contents = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        contents.append({path.name: path.read_bytes() for path in write_all(small_scan, folder)})
        time.sleep(1.1)  # HDF5 notes times in seconds
    assert contents[0] == contents[1]
