"""Eiger masters: data files in order, masks by their bits, broken links by their names."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_files import Experiment, assert_is, experiment_of, star_experiment, write_eiger

from ptychonyx.runtime import load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import files_of
from ptychonyx.runtime.scan import Scan


@pytest.fixture
def made(small_scan: Scan) -> Experiment:
    return experiment_of(small_scan)


def test_the_star_as_an_eiger(star: Path, tmp_path: Path) -> None:
    made = star_experiment(star)
    master = write_eiger(tmp_path, made)
    scan = load_scan(master, map_path=tmp_path / "map.yaml")
    assert_is(scan, made)
    assert scan.bad_pixels is not None
    assert np.argwhere(scan.bad_pixels).tolist() == [[0, 0], [0, 1], [3, 5]]
    np.testing.assert_array_equal(scan.patterns[198:203], made.patterns[198:203])


@pytest.mark.parametrize("filter_name", ["Bitshuffle", "LZ4"])
def test_packed_as_the_detector_packs(filter_name: str, made: Experiment, tmp_path: Path) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    packing = dict(getattr(hdf5plugin, filter_name)())
    master = write_eiger(tmp_path, made, in_file=17, packing=packing)
    assert_is(load_scan(master, map_path=tmp_path / "map.yaml"), made)


def test_without_positions_it_says_what_it_is(made: Experiment, tmp_path: Path) -> None:
    master = write_eiger(tmp_path, made)
    message = r"kind Eiger master with 40 images of 32×32, .*holds no positions.*--map-template"
    with pytest.raises(ScanError, match=message):
        load_scan(master)
    with pytest.raises(ScanError, match=r"Eiger data file with 40 images"):
        load_scan(tmp_path / "scan_data_000001.h5")


def test_a_data_file_that_is_missing_is_named(made: Experiment, tmp_path: Path) -> None:
    master = write_eiger(tmp_path, made, in_file=15)
    assert [each.name for each in files_of(master)] == [
        *(f"scan_data_00000{number}.h5" for number in (1, 2, 3)),
        "scan_master.h5",
    ]
    (tmp_path / "scan_data_000002.h5").unlink()
    with pytest.raises(
        ScanError, match=r"data_000002` of .*scan_data_000002\.h5, which is missing"
    ):
        load_scan(master, map_path=tmp_path / "map.yaml")
    (tmp_path / "scan_data_000002.h5").write_bytes(b"half a file")
    with pytest.raises(ScanError, match=r"scan_data_000002\.h5, which is no readable HDF5 file"):
        load_scan(master, map_path=tmp_path / "map.yaml")
    h5py.File(tmp_path / "scan_data_000002.h5", "w").close()
    with pytest.raises(ScanError, match=r"is `/entry/data/data` of another file.*does not have it"):
        load_scan(master, map_path=tmp_path / "map.yaml")


def test_links_stay_in_the_folder(made: Experiment, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    master = write_eiger(tmp_path / "inside", made)
    outside = tmp_path / "outside.h5"
    (tmp_path / "inside" / "scan_data_000001.h5").rename(outside)
    with h5py.File(master, "r+") as file:
        del file["entry/data/data_000001"]
        file["entry/data/data_000001"] = h5py.ExternalLink("../outside.h5", "/entry/data/data")
    with pytest.raises(ScanError, match="outside the folder"):
        load_scan(master, map_path=tmp_path / "inside" / "map.yaml")


def test_gaps_without_a_mask_and_saturation_are_said(
    made: Experiment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    patterns = made.patterns.astype(np.uint32)
    patterns[:, 4:6] = 2**32 - 1
    marked = Experiment(patterns, *(getattr(made, name) for name in list(vars(made))[1:]))
    master = write_eiger(tmp_path, marked)
    with h5py.File(master, "r+") as file:
        detector = file["entry/instrument/detector"]
        del detector["detectorSpecific/pixel_mask"]
        detector["saturation_value"] = int(made.patterns.max()) // 4
    scan = load_scan(master, map_path=tmp_path / "map.yaml")
    assert scan.bad_pixels is not None
    assert np.flatnonzero(scan.bad_pixels.all(axis=1)).tolist() == [4, 5]
    assert scan.bad_pixels.sum() == 64
    assert "64 pixels that hold 4294967295 in all sampled images are taken for gaps" in caplog.text
    assert "where the detector saturates" in caplog.text


def test_the_beam_of_a_whole_detector_is_where_it_says(made: Experiment, tmp_path: Path) -> None:
    images = np.zeros((40, 64, 64), made.patterns.dtype)
    images[:, 10:42, 20:52] = made.patterns
    whole = Experiment(images, *(getattr(made, name) for name in list(vars(made))[1:]))
    master = write_eiger(tmp_path, whole)
    with h5py.File(master, "r+") as file:
        detector = file["entry/instrument/detector"]
        detector["beam_center_y"][()], detector["beam_center_x"][()] = 26.0, 36.0
    scan = load_scan(master, map_path=tmp_path / "map.yaml", crop_px=32)
    np.testing.assert_array_equal(scan.patterns[:], made.patterns)
    assert load_scan(master, map_path=tmp_path / "map.yaml").window_px == 52
