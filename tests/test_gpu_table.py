"""`make gpu`: each line has a verdict, whatever happens to the process that was to give it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from devices.apart import Check, run_all, run_apart, run_tasks
from devices.lines import Line, append_line, exit_code, read_lines, table, write_json

THREE = ("first", "second", "third")


def check_of(limit_s: float = 60.0, *, needs_gpu: bool = False) -> Check:
    return Check("some", dict.fromkeys(THREE, str), limit_s, needs_gpu=needs_gpu)


def code(text: str) -> Sequence[str]:
    return [sys.executable, "-c", text]


def saying(path: Path, *, then: str) -> Sequence[str]:
    """Return a command that leaves one line, and then does something."""
    line = json.dumps({"what": "first", "verdict": "checked", "detail": "seen"}) + "\n"
    return code(f"open({str(path)!r}, 'a').write({line!r}); {then}")


ENDS = {
    "a crash": ("import os; os.abort()", "its process ended with signal 6"),
    "an exit": (
        "import sys; sys.exit('libcublas is missing')",
        "its process ended with code 1: libcublas is missing",
    ),
    "half a line": (f"open({'PATH'!r}, 'a').write('{{')", "its process ended with code 0"),
}


@pytest.mark.parametrize(("then", "why"), ENDS.values(), ids=ENDS)
def test_what_was_seen_stays_and_the_rest_has_failed(then: str, why: str) -> None:
    lines = run_apart(
        check_of(), lambda _, path: saying(path, then=then.replace("PATH", str(path))), 60
    )
    assert lines == [Line("first", "checked", "seen"), *(Line(w, "failed", why) for w in THREE[1:])]


def test_a_process_that_hangs_is_ended_with_those_that_it_began(tmp_path: Path) -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', SLEEP])"
    sleep = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); "
    command = code(child.replace("SLEEP", repr(sleep + "time.sleep(600)")))
    lines = run_apart(check_of(), lambda *_: command, 5.0)
    assert {str(line) for line in lines} == {"failed: it was not done within 5 s"}
    written = tmp_path / "pid"
    if written.exists():  # on a busy machine it may not have come so far
        assert not Path("/proc", written.read_text(), "cmdline").exists() or (
            Path("/proc", written.read_text(), "stat").read_text().split()[2] == "Z"
        )


def test_a_python_that_is_not_there_is_named() -> None:
    lines = run_apart(check_of(), lambda *_: ["/no/python"], 60)
    assert all("could not be started" in line.detail for line in lines)


def test_without_a_gpu_nothing_that_needs_one_is_run() -> None:
    def refuse(*_: object) -> Sequence[str]:
        raise AssertionError("it was run")

    lines = list(run_all([check_of(needs_gpu=True)], refuse, has_gpu=False, budget_s=60))
    assert lines == [Line(what, "needs a GPU") for what in THREE]
    assert exit_code(lines) == 0


def test_checks_share_their_time_and_say_when_none_is_left() -> None:
    now = iter([0.0, 1.0, 99.5])  # the start, then before each check

    def command(_: Check, path: Path) -> Sequence[str]:
        return saying(path, then="pass")

    lines = list(
        run_all(
            [check_of(), check_of()], command, has_gpu=True, budget_s=100, clock=lambda: next(now)
        )
    )
    assert lines[0] == Line("first", "checked", "seen")
    assert {str(line) for line in lines[3:]} == {"failed: no time was left of 100 s"}
    assert exit_code(lines) == 1


def test_a_task_that_fails_does_not_hide_those_after_it(tmp_path: Path) -> None:
    def fail() -> str:
        raise ValueError("differs by\n 0.1")

    def fail_silently() -> str:
        raise KeyError

    check = Check("some", {"a": fail, "b": fail_silently, "c": lambda: "seen"}, 60)
    run_tasks(check, tmp_path / "lines")
    assert list(map(str, read_lines(tmp_path / "lines"))) == [
        "failed: differs by 0.1",
        "failed: KeyError",
        "checked: seen",
    ]


def test_the_table_is_written_as_json_too(tmp_path: Path) -> None:
    lines = [Line("µ", "checked", "3 patterns/s"), Line("b", "needs a GPU")]
    write_json(tmp_path / "new" / "table.json", lines, {"no_gpu": "no driver"})
    found = json.loads((tmp_path / "new" / "table.json").read_text(encoding="utf-8"))
    assert found["no_gpu"] == "no driver"
    assert [Line(**line) for line in found["lines"]] == lines
    assert len(table(lines).splitlines()) == 2


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "lines") == []
    append_line(tmp_path / "lines", Line("a", "checked"))
    with (tmp_path / "lines").open("a") as file:
        file.write('{"what": "b"')
    assert read_lines(tmp_path / "lines") == [Line("a", "checked")]


def test_the_script_has_each_line_once_and_says_what_its_checks_are() -> None:
    pytest.importorskip("onnxruntime", reason="most of what is checked runs on it")
    from devices.checks import ENVIRONMENTS, checks

    all_checks = checks()
    whats = [what for check in all_checks for what in check.tasks]
    assert len(set(whats)) == len(whats)
    assert len({check.name for check in all_checks}) == len(all_checks)
    assert {check.environment for check in all_checks} == set(ENVIRONMENTS)
    for provider in ("cuda", "tensorrt"):
        for theme in ("proves itself", "sweep graph", "speed of a network", "speed of a pass"):
            assert any(what.startswith(provider) and theme in what for what in whats)


def test_one_check_alone_leaves_its_lines(tmp_path: Path) -> None:
    script = Path(__file__).parent / "benchmarks" / "gpu.py"
    path = tmp_path / "lines"
    command = [sys.executable, str(script), "--check", "locks", "--lines", str(path)]
    subprocess.run(command, check=True)
    assert [line.verdict for line in read_lines(path)] == ["checked"] * 3
