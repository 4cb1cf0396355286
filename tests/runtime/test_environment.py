"""Frameworks are loaded without their notes, and nothing else is held back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ptychonyx.runtime.environment import FRAMEWORKS, prepare_for

NOTE = "I0000 00:00:1.5 1 port.cc:153] oneDNN custom operations are on."
ERROR = "E0000 00:00:1.5 1 executor.cc:7] out of memory"
FATAL = "F0000 00:00:1.5 1 check.cc:7] Check failed"


def stderr_of(code: str, **variables: str) -> str:
    """Run code that writes to the file of stderr while TensorFlow is loaded; return what came out."""
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    start = (
        "import os, sys\n"
        "from ptychonyx.runtime.environment import loading\n"
        "with loading('tensorflow'):\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + code],
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


def written(*lines: str) -> str:
    return "".join(f"    os.write(2, {(line + chr(10)).encode()!r})\n" for line in lines)


def test_notes_are_held_back_and_errors_are_not() -> None:
    code = written(NOTE, ERROR, "a line of another library", NOTE, FATAL)
    assert stderr_of(code).splitlines() == [ERROR, "a line of another library", FATAL]


def test_lines_come_out_though_loading_ends_the_process() -> None:
    assert stderr_of(written(NOTE, FATAL) + "    os.abort()\n") == f"{FATAL}\n"


def test_after_loading_nothing_is_held_back() -> None:
    assert stderr_of(f"    pass\nos.write(2, {NOTE.encode()!r})\n") == NOTE


def test_an_exception_while_loading_is_told() -> None:
    assert "ImportError: no libcudart" in stderr_of("    raise ImportError('no libcudart')\n")


def test_notes_that_were_asked_for_come_out() -> None:
    assert stderr_of(written(NOTE), TF_CPP_MIN_LOG_LEVEL="0") == f"{NOTE}\n"


def test_a_closed_stderr_is_no_hindrance() -> None:
    assert stderr_of("    pass\n" + "os.close(2)\nwith loading('tensorflow'):\n    pass\n") == ""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_a_user_has_set_stays(framework: str) -> None:
    chosen = dict.fromkeys(FRAMEWORKS[framework], "chosen")
    environment = dict(chosen)
    prepare_for(framework, environment)
    assert environment == chosen
