"""A spoilt file is refused by one of our errors that names it, or read as what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime.errors import ScanError

from .outcomes import CLEAN, DIFFERENT, NAMELESS, SAME, TRACEBACK, alike, judge
from .subjects import SUBJECTS
from .trials import Bench

NUM_TRIALS = 40
FIRST_SEED = 5000


@pytest.mark.parametrize("subject", SUBJECTS)
def test_spoilt_files(subject: str, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    bench = Bench(subject, tmp_path / "work")
    failures, num_refused = [], 0
    for seed in range(FIRST_SEED, FIRST_SEED + NUM_TRIALS):
        for trial in bench.tried(seed):
            num_refused += trial.found.outcome == CLEAN
            if trial.has_failed:
                failures.append(f"{trial}\nkept as {bench.keep(trial, tmp_path)}")
    assert not failures, "\n\n".join(failures)
    assert num_refused > 0


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_seed_gives_one_file(subject: str, tmp_path: Path) -> None:
    bench = Bench(subject, tmp_path)
    contents = []
    for seed in (3, 4, 3):
        bench.spoil(seed)
        contents.append(bench.spoilt.read_bytes())
    assert contents[0] == contents[2] != contents[1]


def fail(error: Exception) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        raise error

    return read


OUTCOMES: dict[str, tuple[Callable[[Path], object], str]] = {
    "equal": (lambda path: [1, np.array([np.nan])], SAME),
    "other": (lambda path: [1, np.array([0.0])], DIFFERENT),
    "named": (fail(ScanError("folder/scan.npz is damaged")), CLEAN),
    "a value": (fail(ValueError("folder/scan.npz: wrong")), CLEAN),
    "nameless": (fail(ScanError("a file is damaged")), NAMELESS),
    "a library's": (fail(ValueError("bad shape")), TRACEBACK),
    "another class": (fail(KeyError("folder/scan.npz")), TRACEBACK),
}


@pytest.mark.parametrize(("read", "outcome"), OUTCOMES.values(), ids=OUTCOMES)
def test_outcomes(read: Callable[[Path], object], outcome: str) -> None:
    assert judge(read, Path("folder/scan.npz"), [1, np.array([np.nan])]).outcome == outcome


def test_results_are_compared_in_every_field() -> None:
    assert alike({"a": (1.0, float("nan"))}, {"a": (1.0, float("nan"))})
    assert not alike({"a": 1.0}, {"a": 1})
    assert not alike(np.zeros(2, np.float32), np.zeros(2))
    assert alike(np.zeros(2), np.full(2, 1e-6), atol=1e-5)
