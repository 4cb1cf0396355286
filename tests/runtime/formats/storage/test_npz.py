"""An NPZ is read member by member, and what is damaged in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from format_files import write_npz

from ptychonyx.runtime import load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scaling import counts_per_pattern


def test_damaged_patterns_are_noticed_when_they_are_read(tmp_path: Path) -> None:
    write_npz(tmp_path / "scan.npz", {})
    content = bytearray((tmp_path / "scan.npz").read_bytes())
    content[2000] ^= 1
    (tmp_path / "scan.npz").write_bytes(content)
    scan = load_scan(tmp_path / "scan.npz", quantity="amplitude")
    with pytest.raises(ScanError, match=r"`diff3d` of .*Bad CRC-32"):
        counts_per_pattern(scan)


def test_a_header_cannot_ask_for_memory_that_the_file_does_not_fill(tmp_path: Path) -> None:
    write_npz(tmp_path / "scan.npz", {})
    content = (tmp_path / "scan.npz").read_bytes()
    shape, huge = b"(4, 16, 16), }  ", b"(4, 99999,99999)}"
    assert content.count(shape) == 1
    (tmp_path / "scan.npz").write_bytes(content.replace(shape + b" ", huge))
    with pytest.raises(ScanError, match="bytes are too few"):
        load_scan(tmp_path / "scan.npz")
