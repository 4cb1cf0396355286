"""Files are whole or absent, and leave nothing beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from ptychonyx.runtime.files import temporary_folder, write_atomically, write_text
from ptychonyx.runtime.files.writing import temporary_path


def half(file: BinaryIO) -> None:
    """Write the first half of a file, then fail as a full disk does."""
    file.write(b"new")
    raise OSError("No space left on device")


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_failing_writer_leaves_what_was_there_and_no_temporary_file(
    before: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, half)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == (
        {} if before is None else {"file": before}
    )


def test_until_all_is_written_the_old_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file: BinaryIO) -> None:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    write_atomically(path, write)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf_8_and_keeps_its_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "σ\n")
    assert (tmp_path / "text").read_bytes() == b"\xcf\x83\n"


def test_bytes_that_are_no_text_become_escapes(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "n\udcff")
    assert (tmp_path / "text").read_bytes() == b"n\\udcff"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "product.h5").symlink_to("disk/real.h5")
    for text in ("new", "newer"):
        write_text(tmp_path / "product.h5", text)
        assert (tmp_path / "product.h5").readlink() == Path("disk/real.h5")
        assert (tmp_path / "disk" / "real.h5").read_text() == text
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real.h5"]


@pytest.fixture
def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_dead_processes_left_is_removed_and_nothing_else(
    dead_process: int, tmp_path: Path
) -> None:
    mine = temporary_path(tmp_path / "a.h5").name
    dead = mine.replace(f"-{os.getpid()}.tmp", f"-{dead_process}.tmp")
    kept = [
        mine.replace(f"-{os.getpid()}.tmp", f"-{os.getppid()}.tmp"),  # at work
        dead.replace(".a.h5.", ".a.h5.elsewhere"),  # of a machine whose processes nobody here knows
        dead.replace("a.h5", "b.h5"),
        "." + dead,
    ]
    for name in (dead, *kept):
        (tmp_path / name).touch()
    write_text(tmp_path / "a.h5", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"a.h5", *kept}


def test_a_temporary_folder_is_removed_even_after_a_death(
    dead_process: int, tmp_path: Path
) -> None:
    left = temporary_path(tmp_path / "a.onnx").name.replace(f"-{os.getpid()}", f"-{dead_process}")
    (tmp_path / left).mkdir()
    (tmp_path / left / "model.onnx").touch()
    with temporary_folder(tmp_path / "a.onnx") as folder:
        (folder / "file").touch()
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []
