"""MATLAB's files of both versions: axes in MATLAB's order, names of PtychoShelves, and keys for others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from beamline_files import (
    Experiment,
    assert_is,
    experiment_of,
    matlab_arrays,
    star_experiment,
    write_mat73,
)

from ptychonyx.runtime import load_object, load_probe, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scan import Scan

Write = Callable[[Path, dict[str, Any]], None]


def write_mat5(path: Path, arrays: dict[str, Any]) -> None:
    """Write version 5 as SciPy does, packed as MATLAB does."""
    structs: dict[str, Any] = {}
    for name, value in arrays.items():
        struct, _, field = name.partition("/")
        if field:
            structs.setdefault(struct, {})[field] = value
        else:
            structs[name] = value
    with path.open("wb") as file:
        scipy.io.savemat(file, structs, do_compression=True)


WRITERS = pytest.mark.parametrize("write", [write_mat5, write_mat73], ids=["5", "7.3"])


@pytest.fixture
def made(small_scan: Scan) -> Experiment:
    return experiment_of(small_scan)


@WRITERS
def test_the_star_as_matlab(write: Write, star: Path, tmp_path: Path) -> None:
    made = star_experiment(star)
    write(tmp_path / "scan.data", matlab_arrays(made))
    scan = load_scan(tmp_path / "scan.data")
    assert_is(scan, made)
    np.testing.assert_array_equal(scan.probe, made.probe)


@WRITERS
def test_names_that_are_not_known_are_given(write: Write, made: Experiment, tmp_path: Path) -> None:
    arrays = matlab_arrays(made)
    arrays = {"mine": arrays.pop("dp"), "places": made.positions_m, "pixel": arrays["dx"]}
    write(tmp_path / "scan.mat", arrays)
    message = r"MATLAB file that holds: mine \(32, 32, 40\) uint\d+; .*`--key patterns=NAME"
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "scan.mat")
    keys = {"patterns": "mine", "positions": "places", "object_pixel": "pixel"}
    scan = load_scan(tmp_path / "scan.mat", keys=keys)
    np.testing.assert_array_equal(scan.patterns[0:40], made.patterns)
    shift_px = scan.corners_px - made.corners_px
    np.testing.assert_allclose(shift_px - shift_px[0], 0, atol=1e-9)


@WRITERS
def test_a_result_of_ptychoshelves(write: Write, made: Experiment, tmp_path: Path) -> None:
    height, width = made.object_.shape
    middle = np.array([height, width]) / 2
    around_px = made.corners_px + 16 - middle
    arrays = {
        "object": made.object_,
        "probe": np.stack([made.probe, 0 * made.probe], -1).transpose(1, 2, 0, 3),
        "outputs/probe_positions": around_px[:, ::-1],
        "p/dx_spec": np.array([[made.pixel_m, made.pixel_m]]),
        "dp": made.patterns.transpose(1, 2, 0),
    }
    write(tmp_path / "Niter100.mat", arrays)
    scan = load_scan(tmp_path / "Niter100.mat")
    np.testing.assert_allclose(scan.corners_px, made.corners_px, atol=1e-9)
    np.testing.assert_array_equal(scan.object_, made.object_)
    np.testing.assert_array_equal(load_object(tmp_path / "Niter100.mat").object_, made.object_)
    np.testing.assert_array_equal(load_probe(tmp_path / "Niter100.mat"), made.probe)


@WRITERS
def test_a_damaged_file_is_refused(write: Write, made: Experiment, tmp_path: Path) -> None:
    write(tmp_path / "scan.mat", matlab_arrays(made))
    whole = (tmp_path / "scan.mat").read_bytes()
    (tmp_path / "scan.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ScanError, match="is not a readable"):
        load_scan(tmp_path / "scan.mat").patterns[:]
