"""Give spoilt files to every public reader, for as long as is said; `make fuzz` takes an hour.

    python tests/fuzz.py --seconds 600 --processes 4
    python tests/fuzz.py --subject "bytes of a solver" --seed 17     # one trial again

A file that has failed is kept in build/fuzzing. Exit code 1 if one has.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from fuzzing.long_run import Tally, run
from fuzzing.subjects import SUBJECTS
from fuzzing.trials import Bench

KEPT = Path("build") / "fuzzing"
PACKAGES = ("numpy", "h5py", "onnx", "onnxruntime")


def main() -> int:
    parser = argparse.ArgumentParser(description="Give spoilt files to the public readers.")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="first of the seeds")
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="by default all")
    parser.add_argument("--seed", type=int, help="one trial, printed, and no more")
    parser.add_argument("--record", type=Path, metavar="JSON", help="file for all counts")
    given = parser.parse_args()
    subjects = given.subject or [*SUBJECTS]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        if given.seed is not None:
            return try_again(subjects, given.seed, Path(scratch))
        tally = run(
            subjects,
            seconds=given.seconds,
            processes=given.processes,
            first=given.first,
            scratch=Path(scratch),
            kept=KEPT,
        )
    print(tally)
    if given.record:
        write_record(given.record, tally, given.processes, time.monotonic() - began_s)
    return 1 if tally.failures else 0


def write_record(path: Path, tally: Tally, processes: int, seconds: float) -> None:
    """Write the counts as JSON, with what the trials were run on."""
    record = {
        "seconds": round(seconds),
        "processes": processes,
        "python": platform.python_version(),
        "versions": {name: import_module(name).__version__ for name in PACKAGES},
        "failures": [str(trial) for trial in tally.failures],
        "counts": tally.rows(),
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def try_again(subjects: list[str], seed: int, scratch: Path) -> int:
    has_failed = False
    for number, subject in enumerate(subjects):
        (scratch / str(number)).mkdir()
        bench = Bench(subject, scratch / str(number))
        for trial in bench.tried(seed):
            print(trial)
            has_failed |= trial.has_failed
        print(f"The file is kept as {bench.keep(trial, KEPT)}")
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
