"""ptypy's files: data in chunks; results as object, probe and product, and as a scan with patterns."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_files import (
    Experiment,
    assert_is,
    experiment_of,
    star_experiment,
    write_ptyd,
    write_ptyr,
)

from ptychonyx.runtime import load_object, load_probe, load_product, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import is_result
from ptychonyx.runtime.scan import Scan


@pytest.fixture
def made(small_scan: Scan) -> Experiment:
    return experiment_of(small_scan)


def test_the_star_as_ptyd(star: Path, tmp_path: Path) -> None:
    made = star_experiment(star)
    write_ptyd(tmp_path / "scan.ptyd", made)
    scan = load_scan(tmp_path / "scan.ptyd")
    assert_is(scan, made)
    assert scan.bad_pixels is not None
    assert np.argwhere(scan.bad_pixels).tolist() == [[1, 2]]


def test_chunks_are_ordered_by_number(made: Experiment, tmp_path: Path) -> None:
    write_ptyd(tmp_path / "scan.ptyd", made, in_chunk=3)  # 14 chunks: "10" sorts before "2"
    assert_is(load_scan(tmp_path / "scan.ptyd"), made)


def test_a_ptyd_without_frames(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.ptyd", "w") as file:
        file.create_group("chunks"), file.create_group("meta")
    with pytest.raises(ScanError, match=r"is ptypy data .* holds no frames .* `save='append'`"):
        load_scan(tmp_path / "scan.ptyd")


def test_a_result_is_object_probe_and_product(made: Experiment, tmp_path: Path) -> None:
    write_ptyr(tmp_path / "run.ptyr", made)
    np.testing.assert_array_equal(load_object(tmp_path / "run.ptyr").object_, made.object_)
    np.testing.assert_array_equal(load_probe(tmp_path / "run.ptyr"), made.probe)
    product = load_product(tmp_path / "run.ptyr")
    np.testing.assert_allclose(product.corners_px, made.corners_px, atol=1e-9)
    np.testing.assert_array_equal(product.object_, made.object_)
    assert product.pixel_size_m == pytest.approx(made.pixel_m)


def test_a_result_is_a_scan_with_patterns(made: Experiment, tmp_path: Path) -> None:
    write_ptyr(tmp_path / "run.ptyr", made)
    write_ptyd(tmp_path / "scan.ptyd", made)
    with pytest.raises(
        ScanError, match=r"ptypy result \(.ptyr\), but holds no patterns.*`--patterns`"
    ):
        load_scan(tmp_path / "run.ptyr")
    scan = load_scan(tmp_path / "run.ptyr", patterns_path=tmp_path / "scan.ptyd")
    assert_is(scan, made)
    np.testing.assert_allclose(scan.corners_px, made.corners_px, atol=1e-9)
    np.testing.assert_array_equal(scan.object_, made.object_)


def test_an_older_result_has_no_positions(made: Experiment, tmp_path: Path) -> None:
    write_ptyr(tmp_path / "run.ptyr", made)
    with h5py.File(tmp_path / "run.ptyr", "r+") as file:
        del file["content/positions"]
    np.testing.assert_array_equal(load_object(tmp_path / "run.ptyr").object_, made.object_)
    for load in (load_scan, load_product):
        with pytest.raises(ScanError, match="without positions, as older releases wrote it"):
            load(tmp_path / "run.ptyr")


def test_a_result_without_patterns_is_a_product(made: Experiment, tmp_path: Path) -> None:
    write_ptyr(tmp_path / "run.ptyr", made)
    write_ptyd(tmp_path / "scan.ptyd", made)
    assert is_result(tmp_path / "run.ptyr")
    assert not is_result(tmp_path / "scan.ptyd")
    with pytest.raises(ScanError, match=r"files such as .*scan\.ptyd hold counts; leave it out"):
        load_scan(tmp_path / "scan.ptyd", quantity="amplitude")
