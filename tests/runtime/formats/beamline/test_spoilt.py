"""Whatever is wrong with a beamline's file, it is refused with a `ScanError`, or read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from beamline_files import (
    Experiment,
    experiment_of,
    matlab_arrays,
    write_cxi,
    write_eiger,
    write_mat73,
    write_nexus,
    write_ptyd,
    write_ptyr,
)

from ptychonyx.runtime import load_probe, load_product, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scan import Scan

VALUES: dict[str, Any] = {
    "nothing": np.zeros(0),
    "a text": "text",
    "a cube": np.zeros((2, 2, 2)),
    "not a number": np.nan,
    "a negative number": -1,
    "complex": np.full(3, 1j),
    "a list of texts": np.array([b"a", b"b"]),
}
WRITERS: dict[str, Callable[[Path, Experiment], object]] = {
    "cxi": write_cxi,
    "nexus": write_nexus,
    "ptyd": write_ptyd,
    "ptyr": write_ptyr,
    "mat": lambda path, made: write_mat73(path, matlab_arrays(made)),
    "eiger": lambda path, made: write_eiger(path.parent, made).rename(path),
}


@pytest.fixture
def made(small_scan: Scan) -> Experiment:
    whole = experiment_of(small_scan)
    some = (whole.patterns[:9], whole.corners_px[:9], whole.positions_m[:9])
    return Experiment(*some, whole.probe, whole.object_, whole.pixel_m)


def read_all(path: Path) -> int:
    """Try the readers, and return how many refuse."""
    map_path = path.with_name("map.yaml")
    has_map = map_path.is_file()
    readers: list[Callable[[], object]] = [
        lambda: load_scan(path, map_path=map_path if has_map else None).patterns[0:9],
        lambda: load_probe(path),
        lambda: load_product(path),
    ]
    num_refused = 0
    for read in readers:
        try:
            read()
        except ScanError:
            num_refused += 1
    return num_refused


def datasets_of(path: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, each: names.append(name) if hasattr(each, "shape") else None)
    return names


@pytest.mark.parametrize("kind", WRITERS)
def test_datasets_of_other_kinds(kind: str, made: Experiment, tmp_path: Path) -> None:
    path = tmp_path / f"scan.{kind}"
    WRITERS[kind](path, made)
    whole, values = path.read_bytes(), [None, *VALUES.values()]
    for number, name in enumerate(datasets_of(path)):
        for value in (values[number % len(values)], values[(number + 3) % len(values)]):
            path.write_bytes(whole)
            with h5py.File(path, "r+") as file:
                del file[name]
                if value is not None:
                    file[name] = value
            read_all(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_flipped_bytes(kind: str, made: Experiment, tmp_path: Path) -> None:
    path, rng = tmp_path / f"scan.{kind}", np.random.default_rng(0)
    WRITERS[kind](path, made)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(4):
        damaged = whole.copy()
        damaged[rng.integers(0, min(6000, len(whole)), 6)] = rng.integers(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        read_all(path)
    path.write_bytes(whole[: len(whole) // 3].tobytes())
    assert read_all(path) == 3
