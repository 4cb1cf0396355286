"""Ctrl-C once stops a command, twice ends the process, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan

ROOT = Path(__file__).parents[3]
PATHS = [str(ROOT / part) for part in ("runtime", "export", "training")]
ENDLESS = """
import hashlib, sys
from ptychonyx.cli import main

class Model:  # in a library that returns after days, and lets other threads run meanwhile
    def __init__(self, *words, **options): pass
    def verify(self):
        print("deep", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

def solve(*words, **options):
    Model().verify()

import ptychonyx.runtime, ptychonyx.runtime.model.kinds
ptychonyx.runtime.model.kinds.open_model = Model
ptychonyx.runtime.solve = solve
main()
"""


def start(code: str, *words: object, paths: list[str] = PATHS) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )


def heed_interrupts() -> None:
    """Undo that a shell lets what it starts in the background ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("verify model.onnx", signal.SIGINT),
        ("reconstruct scan.npz --quantity counts -o product.h5", signal.SIGINT),
        ("reconstruct scan.npz --quantity counts -o product.h5", signal.SIGTERM),
    ],
)
def test_a_second_signal_ends_a_library_that_never_returns(
    words: str,
    first: signal.Signals,
    small_scan: Scan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_scan(small_scan, "scan.npz")
    process = start(ENDLESS, *words.split())
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "deep\n"
        process.send_signal(first)
        with pytest.raises(subprocess.TimeoutExpired):  # once is too little for this one
            process.wait(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, "Interrupted.\n")


def test_ctrl_c_during_imports_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGINT)\nraise SystemExit('it went on')\n"
    )
    process = start("from ptychonyx.cli import main; main()", paths=[str(tmp_path), *PATHS])
    text, errors = process.communicate()
    assert (process.returncode, text, errors) == (130, "", "Interrupted.\n")


def test_a_child_of_a_fork_does_not_count_for_its_parent() -> None:
    code = """
import os, signal, time
from ptychonyx.cli.console.interrupts import end_on_second_interrupt
end_on_second_interrupt()
signal.signal(signal.SIGINT, lambda *_: None)
child = os.fork()
if child == 0:
    for _ in range(3):
        signal.raise_signal(signal.SIGINT)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.raise_signal(signal.SIGINT)
time.sleep(1.5)  # longer than the grace
"""
    process = start(code)
    text, errors = process.communicate()
    assert (process.returncode, text, errors) == (0, "7\n", "")


def test_importing_the_command_line_takes_nothing_slow() -> None:
    code = "import sys, ptychonyx.cli; print([x for x in ('typer', 'rich', 'numpy') if x in sys.modules])"
    text, errors = start(code).communicate()
    assert (text, errors) == ("[]\n", "")
