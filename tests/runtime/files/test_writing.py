"""Files are whole or absent, and nothing that was read is destroyed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from ptychonyx.runtime.files import refuse_destroying_inputs, write_atomically, write_text


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


def test_a_hard_link_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("data")
    os.link(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="would be destroyed; give another name"):
        refuse_destroying_inputs([tmp_path / "a"], written=[tmp_path / "b"])


def test_other_names_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("data")
    refuse_destroying_inputs([tmp_path / "a"], written=[tmp_path / "b", tmp_path / "c"])
    refuse_destroying_inputs([tmp_path / "a"], emptied=[tmp_path / "run"])
