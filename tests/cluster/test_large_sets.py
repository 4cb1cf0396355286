"""Training sets that are larger than memory stay in their files."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from cluster.conftest import Start, children_of, finish

from ptychonyx.runtime.formats import load_scan, save_scan
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training.data.feed import made_ahead
from ptychonyx.training.data.prepare import prepare_samples
from ptychonyx.training.data.stored import StoredAmplitudes

BACKENDS = [
    pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("tensorflow", "pytorch")
]
LARGEST_USS_BYTES = 1.5e9
NUM_PATTERNS, SIDE = 15_360, 256  # 4.03 GB of float32


def test_a_set_that_stays_in_its_files_gives_the_same_batches(
    small_scan: Scan, tmp_path: Path
) -> None:
    bad_pixels = np.zeros((32, 32), dtype=np.bool_)
    bad_pixels[3, 5] = True
    save_scan(dataclasses.replace(small_scan, bad_pixels=bad_pixels), tmp_path / "scan")
    spec = SimulationOptions(num_patterns=30, window_px=32, num_modes=1, counts_per_pattern=3e3)
    scans = [load_scan(tmp_path / "scan"), simulate_scan(spec, np.random.default_rng(1))]

    kept, stored = (
        prepare_samples(
            scans,
            validation_fraction=0.3,
            group_size=4,
            max_distance_px=25,
            with_truth=True,
            in_memory_bytes=in_memory_bytes,
        )
        for in_memory_bytes in (2**28, 0)
    )
    assert isinstance(kept.amplitude, np.ndarray)
    assert isinstance(stored.amplitude, StoredAmplitudes)
    assert stored.amplitude.shape == kept.amplitude.shape
    for name in ("scale", "probe", "good_pixels", "counts_per_good_pixel", "illumination"):
        one, other = (getattr(each.constants, name) for each in (kept, stored))
        np.testing.assert_array_equal(one, other)
    for groups in kept.training_batches(batch_size=8, seed=0, epoch=3):
        for array, other in zip(kept.batch(groups), stored.batch(groups), strict=True):
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other)


def test_windows_that_leave_the_object_are_refused_before_training(small_scan: Scan) -> None:
    moved = dataclasses.replace(small_scan, corners_px=small_scan.corners_px + 500)
    with pytest.raises(ValueError, match="leaves the object"):
        prepare_samples([moved], validation_fraction=0, with_truth=True, in_memory_bytes=0)


def test_an_error_of_a_batch_made_ahead_comes_out_in_its_turn() -> None:
    def make(number: int) -> float:
        return 1 / (2 - number)

    made = made_ahead(make, range(5))
    assert [next(made), next(made)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(made)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ptychodus training data of 4 GB; the patterns repeat, which makes no difference here."""
    path = tmp_path_factory.mktemp("large") / "large.h5"
    block = np.random.default_rng(0).poisson(3.0, (256, SIDE, SIDE)).astype(np.float32)
    rows, columns = np.divmod(np.arange(NUM_PATTERNS), 128)
    with h5py.File(path, "w") as file:
        patterns = file.create_dataset("patterns", (NUM_PATTERNS, SIDE, SIDE), np.float32)
        for start in range(0, NUM_PATTERNS, len(block)):
            patterns[start : start + len(block)] = block
        file["probe_position_y_px"] = 200.0 + 8 * rows
        file["probe_position_x_px"] = 200.0 + 8 * columns
    return path


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", BACKENDS)
def test_four_gigabytes_train_with_little_memory_of_their_own(
    name: str, large_file: Path, tmp_path: Path, start: Start
) -> None:
    assert large_file.stat().st_size > 4e9
    config = {"backend": name, "filters": 0.25, "batch_size": 4, "validation_fraction": 0}
    config |= {"architecture": "cnn"}
    settings = {"config": config, "scans": [str(large_file)], "devices": 2, "is_sgd": False}
    settings |= {"output": str(tmp_path / "run"), "max_batches": 20}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    program = Path(__file__).with_name("train_and_tell.py")
    training = start([sys.executable, program, tmp_path / "settings.json"])
    largest = 0.0
    while training.poll() is None:
        largest = max([largest, *(own_memory(pid) for pid in children_of(training.pid))])
        time.sleep(0.1)
    finish(training, within_s=10)
    for rank in (0, 1):
        assert len(json.loads((tmp_path / f"run-{rank}.json").read_text())) >= 20
    assert 1e8 < largest < LARGEST_USS_BYTES


def own_memory(pid: int) -> float:
    """Return the bytes of a process that no other process shares (USS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    return sum(1024.0 * int(line.split()[1]) for line in lines if line.startswith("Private_"))
