"""Printing never decides the exit code of work that is done, and obeys no name."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptychonyx.cli.console.streams import Unfailing, printable, write_line

ROOT = Path(__file__).parents[3]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
SIMULATE = "simulate -o scan.npz --num-patterns 4 --window-px 16 --overwrite"
WAYS = {
    "full disk": "> /dev/full",
    "closed": ">&-",
    "everything closed": "<&- >&- 2>&-",
    "reader gone": "| true",
    "full disk for errors": "2> /dev/full",
}


def run(words: str, way: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = f'set -o pipefail; "$PYTHON" -m ptychonyx.cli {words} {way}'
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PATHS, "PYTHON": sys.executable} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("way", WAYS)
def test_finished_work_ends_with_0_whatever_becomes_of_its_words(way: str, tmp_path: Path) -> None:
    done = run(SIMULATE, WAYS[way], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "scan.npz").is_file()


def test_an_ascii_terminal_gets_escapes(tmp_path: Path) -> None:
    done = run(SIMULATE, "", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Wrote scan.npz: 4 patterns of 16\\xd716.\n"
    table = run("inspect scan.npz --quantity counts", "", tmp_path, PYTHONIOENCODING="ascii")
    assert (table.returncode, table.stderr) == (0, "")
    assert "4 of 16\\xd716" in table.stdout


def test_what_was_asked_for_and_could_not_be_printed_is_code_1(tmp_path: Path) -> None:
    run(SIMULATE, "", tmp_path)
    done = run("inspect scan.npz --quantity counts", "> /dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "[Errno 28] No space left on device\n"


def test_a_picture_is_drawn_before_anything_is_printed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    run(SIMULATE, "", tmp_path)
    for words in (
        "inspect scan.npz --quantity counts --plot a.png",
        "compare scan.npz scan.npz --plot b.png",
    ):
        assert run(words, "> /dev/full", tmp_path).returncode == 1
    assert {path.name for path in tmp_path.glob("*.png")} == {"a.png", "b.png"}


def test_a_name_that_is_no_text_names_scan_product_and_report(tmp_path: Path) -> None:
    run(SIMULATE, "", tmp_path)
    name = "n\udcff\x1b[31m$x{"
    (tmp_path / "scan.npz").rename(tmp_path / f"{name}.npz")
    words = r"$'n\xff\x1b[31m$x{.npz' --quantity counts --passes 1"
    done = run(f"reconstruct {words} -o $'n\\xff\\x1b[31m$x{{.h5'", "", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(r"Wrote n\udcff\x1b[31m$x{.h5: 4 of 4 patterns")
    assert (tmp_path / f"{name}.h5").is_file()


def test_control_characters_and_directions_are_shown() -> None:
    assert (
        printable("a\tb\n\r\x1b]0;title\x07\u202eσ×") == r"a	b"
        "\n"
        r"\r\x1b]0;title\x07\u202eσ×"
    )


class Broken(io.StringIO):
    """A stream whose terminal is gone."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")


def test_a_stream_that_fails_is_given_up() -> None:
    write_line("text", Broken())
    closed = io.StringIO()
    closed.close()
    write_line("text", closed)


def test_a_bar_on_a_terminal_that_is_gone_ends_no_work() -> None:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=Unfailing(Broken()), force_terminal=True)  # type: ignore[arg-type]
    with Progress(console=console) as bar:
        task = bar.add_task("work", total=2)
        bar.update(task, completed=1, refresh=True)
