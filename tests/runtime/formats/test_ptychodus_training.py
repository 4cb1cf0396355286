"""Training data that Ptychodus exports, theirs and ours."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
from format_files import NUM, SIDE, Arrays

from ptychonyx.runtime import load_object, load_probe, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan


def training_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["patterns"] = np.arange(2 * 64).reshape(2, 8, 8)
        file["bad_pixels"] = np.eye(8, dtype=bool)
        file["probe"] = np.ones((3, 8, 8), complex)
        file["object"] = np.ones((20, 30), complex)
        file["probe_position_y_px"], file["probe_position_x_px"] = [4.0, 5.5], [10.0, 11.0]
        file["object_pixel_width_m"] = file["object_pixel_height_m"] = 2e-8
        file["detector_object_distance_m"], file["photon_energy_eV"] = 1.5, 9000.0


def test_training_data_of_ptychodus(tmp_path: Path) -> None:
    training_file(tmp_path / "train.h5")
    scan = load_scan(tmp_path / "train.h5")
    np.testing.assert_allclose(scan.corners_px, [[0.5, 6.5], [2.0, 7.5]])
    assert (scan.quantity, scan.position_origin, scan.frame) == ("counts", "ptychodus", None)
    assert (scan.pixel_size_m, scan.photon_energy_eV, scan.detector_distance_m) == (2e-8, 9000, 1.5)
    np.testing.assert_array_equal(scan.bad_pixels, np.eye(8, dtype=bool))
    assert scan.probe is not None
    assert scan.object_ is not None
    assert load_probe(tmp_path / "train.h5").shape == scan.probe.shape == (3, 8, 8)
    assert load_object(tmp_path / "train.h5").object_.shape == scan.object_.shape == (20, 30)
    moved = load_scan(tmp_path / "train.h5", position_origin="center")
    np.testing.assert_allclose(moved.corners_px, scan.corners_px - 0.5)


def test_training_file_of_ours_reads_back(small_scan: Scan, tmp_path: Path) -> None:
    bad = np.zeros((32, 32), bool)
    bad[3, 5] = True
    scan = dataclasses.replace(small_scan, bad_pixels=bad)
    path = tmp_path / "train.h5"
    save_scan(scan, path)
    read = load_scan(path)
    np.testing.assert_allclose(
        read.corners_px, scan.corners_px - np.array(scan.object_corner_px), atol=1e-9
    )
    np.testing.assert_array_equal(read.patterns[0:40], scan.patterns)
    for name in ("probe", "object_", "bad_pixels"):
        np.testing.assert_array_equal(getattr(read, name), getattr(scan, name))
    for name in ("pixel_size_m", "photon_energy_eV", "detector_distance_m"):
        assert getattr(read, name) == pytest.approx(getattr(scan, name), rel=1e-12)
    with pytest.raises(ScanError, match="has no `photon_energy_eV`"):
        save_scan(dataclasses.replace(scan, photon_energy_eV=None), tmp_path / "no.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["train.h5"]


TRAINING = {
    "patterns": np.ones((NUM, SIDE, SIDE)),
    "probe_position_y_px": np.arange(NUM) + 8.0,
    "probe_position_x_px": np.arange(NUM) + 8.0,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patterns": None}, "has no dataset `patterns`"),
        ({"probe_position_x_px": None}, "has no dataset `probe_position_x_px`"),
        ({"probe_position_x_px": np.arange(3.0)}, "4 `probe_position_y_px` but 3"),
        (
            {"probe_position_x_px": np.array(["8"] * NUM, "S")},
            "has dtype .*; real numbers are needed",
        ),
        ({"probe_position_x_px": 8.0}, r"shape \(\), expected \(n,\)"),
        ({"photon_energy_eV/value": 8800.0}, "has no dataset `photon_energy_eV`"),
        ({"photon_energy_eV": np.ones(3)}, "one number is needed"),
        ({"object_pixel_width_m": "20 nm"}, "one number is needed"),
        ({"patterns": np.ones((3, SIDE, SIDE))}, "There are 3 patterns but"),
        ({"probe": np.ones((8, 8))}, "`probe` has shape"),
    ],
)
def test_bad_training_data(changes: Arrays, message: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "train.h5", "w") as file:
        for name, value in (TRAINING | changes).items():
            if value is not None:
                file[name] = value
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "train.h5")


def test_numbers_may_be_attributes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "train.h5", "w") as file:
        for name, value in TRAINING.items():
            file[name] = value
        file.attrs["photon_energy_eV"] = 8800.0
    assert load_scan(tmp_path / "train.h5").photon_energy_eV == 8800
