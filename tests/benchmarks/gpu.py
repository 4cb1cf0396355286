"""Look at every path to a GPU and print one table; `make gpu` calls this.

    python tests/benchmarks/gpu.py
    python tests/benchmarks/gpu.py --runtime PYTHON --pytorch PYTHON --tensorflow PYTHON

Each line of the table is `checked` with what was seen, `failed` with the reason, or `needs a GPU`. Every
check runs in a process of its own with a time limit. All of it takes at most eight minutes, and three
without a GPU, where the same functions are checked on the CPU provider. The table is also written to
build/gpu/table.json. The exit code is 1 if a line failed.

The three environments of docs/guide/cluster.md are named by their Pythons; by default all is looked at in
the one that runs this.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from devices.places import CACHE, RECORD, SOURCES

sys.path[:0] = SOURCES  # an environment of a lock has only what the lock has

from devices.apart import Check, run_all, run_tasks  # noqa: E402
from devices.checks import ENVIRONMENTS, checks  # noqa: E402
from devices.lines import Line, exit_code, summary, table, write_json  # noqa: E402

from ptychonyx.runtime.model.start import why_no_gpu  # noqa: E402

BUDGET_S = 470.0
BUDGET_WITHOUT_GPU_S = 150.0


def main() -> int:
    """Run one check, or all of them."""
    parser = argparse.ArgumentParser(description="Look at every path to a GPU.")
    parser.add_argument("--check", help="run this check only, here")
    parser.add_argument("--lines", type=Path, help="file that gets its lines")
    for name in ENVIRONMENTS:
        parser.add_argument(
            f"--{name}", default=sys.executable, help=f"Python of lock-gpu-{name}.txt"
        )
    given = parser.parse_args()
    if given.check is not None:
        (check,) = (check for check in checks() if check.name == given.check)
        run_tasks(check, given.lines)
        return 0
    return look({name: getattr(given, name) for name in ENVIRONMENTS}, checks())


def look(pythons: dict[str, str], all_checks: Sequence[Check]) -> int:
    """Run all checks, print the table as it grows, and write it."""
    shutil.rmtree(CACHE, ignore_errors=True)
    os.environ["PYTHONPATH"] = os.pathsep.join(SOURCES)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    missing = why_no_gpu()
    print("A GPU is here.\n" if missing is None else f"No GPU: {missing}.\n")
    width = max(len(what) for check in all_checks for what in check.tasks)
    lines: list[Line] = []

    def command(check: Check, path: Path) -> list[str]:
        python = pythons[check.environment]
        return [python, __file__, "--check", check.name, "--lines", str(path)]

    budget_s = BUDGET_S if missing is None else BUDGET_WITHOUT_GPU_S
    for line in run_all(all_checks, command, has_gpu=missing is None, budget_s=budget_s):
        lines.append(line)
        print(table([Line(f"{line.what:{width}}", line.verdict, line.detail)]), flush=True)
    facts = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "no_gpu": missing,
        "pythons": pythons,
    }
    write_json(RECORD, lines, facts)
    print(f"\n{summary(lines)}. Written to {RECORD}.")
    return exit_code(lines)


if __name__ == "__main__":
    sys.exit(main())
