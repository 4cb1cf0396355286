"""Measure what refusing each bad file of the tests costs: memory and time, beside their bounds.

    python tests/benchmarks/refusals.py                     # prints one line for each file
    python tests/benchmarks/refusals.py --page              # and writes docs/measurements/refusals.*

The tests are run with readers that first read each file in a process of its own: a copy of the test's, so
that whatever the test has set counts there, too. Nothing gates on this: memory and time of a shared
machine say little about one change.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

import ptychonyx.runtime
from ptychonyx.runtime import formats
from ptychonyx.runtime.model import model_file
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.solver import SolverModel

load_json, read_text = json.loads, Path.read_text  # tests take their readers' away

ROOT = Path(__file__).parents[2]
TESTS = ("tests/runtime/formats", "tests/runtime/model")
PAGES = ROOT / "docs" / "measurements"
BOUND_MB, BOUND_S = 400.0, 5.0
LONGEST_S = 60.0
"""A copy of a process that holds sessions of onnxruntime may wait for ever for threads that it has not;
after so long it is ended, and the call is listed as not measured."""
READERS = (
    *("load_scan", "load_product", "load_object", "load_probe"),
    *("load_manifest", "open_model_file"),
)
"""Functions to measure, in whichever of these modules a test takes them from."""
MODULES = (ptychonyx.runtime, formats, model_file)
CLASSES = (Model, SolverModel)
BARE = "import re, onnxruntime, ptychonyx.runtime; print(open('/proc/self/status').read())"


@dataclass(frozen=True)
class Refusal:
    """What it cost to refuse one file.

    Attributes
    ----------
    test, reader : str
    file_mb : float
        Size of the file.
    added_mb : float
        Memory at its most, over what the process had before.
    core_s, wall_s : float
        Seconds that a core worked, and that went by.
    """

    test: str
    reader: str
    file_mb: float
    added_mb: float
    core_s: float
    wall_s: float


class Recorder:
    """Measure each call of a reader that refuses its file."""

    def __init__(self) -> None:
        self.found: list[Refusal] = []
        self.unmeasured: list[str] = []
        self._is_busy = False

    def watched(self, name: str, read: Callable[..., Any], place: int = 0) -> Callable[..., Any]:
        """Return a reader that is measured before it reads; argument `place` is the path."""

        @functools.wraps(read)
        def measured(*args: Any, **options: Any) -> Any:
            if not self._is_busy and "PYTEST_CURRENT_TEST" in os.environ:
                self._is_busy = True
                try:
                    self._measure(name, functools.partial(read, *args, **options), args[place])
                finally:
                    self._is_busy = False
            return read(*args, **options)

        return measured

    def _measure(self, name: str, read: Callable[[], Any], path: str | Path) -> None:
        reports, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reports)
            os.write(sender, json.dumps(_cost(read)).encode())
            os._exit(0)
        os.close(sender)
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
        has_ended = bool(select.select([reports], [], [], LONGEST_S)[0])
        if not has_ended:
            os.kill(child, signal.SIGKILL)
            self.unmeasured.append(f"{test}, {name}")
        with os.fdopen(reports) as stream:
            cost = load_json(stream.read() or "null")
        os.waitpid(child, 0)
        if cost:
            num_bytes = Path(path).stat().st_size if Path(path).is_file() else 0
            self.found.append(Refusal(test, name, num_bytes / 1e6, *cost))


def _cost(read: Callable[[], Any]) -> list[float] | None:
    """Return added MB, seconds of a core and seconds of a call that raises; None if it does not."""
    before_kb, core_s, wall_s = _status("VmRSS"), time.process_time(), time.perf_counter()
    try:
        read()
    except Exception:
        core_s, wall_s = time.process_time() - core_s, time.perf_counter() - wall_s
        return [(_status("VmHWM") - before_kb) / 1000, core_s, wall_s]
    return None


def _status(name: str, status: str | None = None) -> int:
    """Return kB of memory: now (VmRSS), or at the most since the process began (VmHWM)."""
    lines = (status or read_text(Path("/proc/self/status"))).splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def watch(recorder: Recorder) -> None:
    """Put measured readers in the place of all others, before any test takes one."""
    for module, name in itertools.product(MODULES, READERS):
        if hasattr(module, name):
            setattr(module, name, recorder.watched(name, getattr(module, name)))
    for kind in CLASSES:
        name = "__init__"
        setattr(kind, name, recorder.watched(kind.__name__, kind.__init__, place=1))


def table(found: Iterable[Refusal], bare_mb: float) -> str:
    """Return a line for each folder of tests and each reader."""
    lines = [
        "| tests | reader | files | largest file, MB | most memory, MB | longest, s of a core |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Refusal]] = {}
    for each in found:
        groups.setdefault((each.test.partition("::")[0], each.reader), []).append(each)
    for (test, reader), group in sorted(groups.items()):
        memory, core = max(e.added_mb for e in group), max(e.core_s for e in group)
        size = max(e.file_mb for e in group)
        lines.append(
            f"| `{test}` | `{reader}` | {len(group)} | {size:.3g} | {bare_mb + memory:.0f} | {core:.2f} |"
        )
    return "\n".join(lines)


def page(recorder: Recorder, bare_mb: float, tests: Iterable[str]) -> str:
    """Return the page of docs/measurements."""
    found, unmeasured = recorder.found, recorder.unmeasured
    missing = "".join(f"\n- `{call}`" for call in unmeasured)
    missed = f"\n{len(unmeasured)} calls were not measured, since the copy hung:\n{missing}\n"
    crossed = [e for e in found if bare_mb + e.added_mb > BOUND_MB or e.core_s > BOUND_S]
    said = "None crosses them." if not crossed else f"{len(crossed)} cross them:\n"
    names = "".join(f"\n- `{each.test}`, `{each.reader}`" for each in crossed)
    return f"""# What refusing a bad file costs

Every bad file of the tests named below, {len(found)} calls of a reader in all, each in a process of its
own. Remade by

    python tests/benchmarks/refusals.py --page {" ".join(tests)}

which without names takes the files of all tests of formats and models. [refusals.json](refusals.json)
has each call.

Bounds: {BOUND_MB:.0f} MB of memory in all, and {BOUND_S:.0f} s of a core. {said}{names}

{table(found, bare_mb)}
{missed if unmeasured else ""}
Memory is that of a process that has imported the runtime and onnxruntime, {bare_mb:.0f} MB, and
what reading the file added at its most; a folder counts as 0 MB. The machine was shared with other
work, so times are those in which a core worked; the longest refusal took
{max(e.wall_s for e in found):.1f} s on the clock.
"""


def bare_memory_mb() -> float:
    """Return the memory of a process that has only imported what readers need."""
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=True)
    return _status("VmHWM", done.stdout) / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the refusals of the tests' bad files.")
    parser.add_argument("--page", action="store_true", help="write docs/measurements/refusals.*")
    parser.add_argument("tests", nargs="*", default=TESTS)
    given = parser.parse_args()
    recorder, bare_mb = Recorder(), bare_memory_mb()
    watch(recorder)
    code = pytest.main(["-q", "-p", "no:cacheprovider", "--timeout=0", *given.tests])
    for each in recorder.found:
        is_within = bare_mb + each.added_mb <= BOUND_MB and each.core_s <= BOUND_S
        print(
            f"{bare_mb + each.added_mb:6.0f} MB {each.core_s:7.3f} s  "
            f"{'holds' if is_within else 'CROSSED':8} {each.reader:16} {each.test}"
        )
    for call in recorder.unmeasured:
        print(f"not measured: {call}")
    print(f"bounds: {BOUND_MB:.0f} MB, {BOUND_S:.0f} s; {len(recorder.found)} refusals")
    if given.page:
        PAGES.mkdir(parents=True, exist_ok=True)
        rows = [
            {key: round(value, 3) if isinstance(value, float) else value for key, value in row}
            for row in (asdict(each).items() for each in recorder.found)
        ]
        lines = ",\n".join(json.dumps(row) for row in rows)
        (PAGES / "refusals.json").write_text(
            f'{{"bare_mb": {bare_mb:.1f}, "refusals": [\n{lines}\n]}}\n', encoding="utf-8"
        )
        (PAGES / "refusals.md").write_text(page(recorder, bare_mb, given.tests), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
