"""An NPZ is read member by member, and what is damaged in it is named."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from format_files import NPZ_ARRAYS, Arrays, write_npz

from ptychonyx.runtime import load_object, load_probe, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.memory import LIMIT_VARIABLE
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


CUT_HEADERS = {
    "open bracket": b"(4, 16, 16, }   ",
    "negative": b"(-4, 16, 16), }",
    "no tuple": b"{4: [16, 16]}, }",
    "a name": b"(4, 16, len), } ",
}


@pytest.mark.parametrize("shape", CUT_HEADERS.values(), ids=CUT_HEADERS)
def test_a_damaged_header_is_an_error_that_names_the_array(shape: bytes, tmp_path: Path) -> None:
    np.save(tmp_path / "probe.npy", np.ones((4, 16, 16)))
    content = (tmp_path / "probe.npy").read_bytes()
    assert content.count(b"(4, 16, 16), }  ") == 1
    content = content.replace(b"(4, 16, 16), }  ", shape.ljust(16))
    (tmp_path / "probe.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "scan.npz", "w") as archive:
        archive.writestr("probeGuess.npy", content)
    with pytest.raises(ScanError, match=r"`probeGuess` of .*scan\.npz is not a readable NPZ file"):
        load_probe(tmp_path / "scan.npz")
    with pytest.raises(ScanError, match=r"probe\.npy is not a readable NPY file"):
        load_probe(tmp_path / "probe.npy")


HUGE = {
    "objectGuess": (np.zeros((3300, 3300), np.complex64), "numbers that were measured are needed"),
    "probeGuess": (np.zeros((3300, 3300), np.complex64), "but the patterns are 16×16"),
    "bad_pixels": (np.zeros((9000, 9000), bool), r"expected \(16, 16\)"),
    "xcoords": (np.zeros(11_000_000), "at most 10000000 positions"),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_small_file_is_refused_before_its_data_are_unpacked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, message = HUGE[name]
    np.savez_compressed(tmp_path / "scan.npz", **(NPZ_ARRAYS | {name: array}))
    assert (tmp_path / "scan.npz").stat().st_size < 200_000
    num_bytes = []
    read = zipfile.ZipExtFile.read

    def counted(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        content = read(self, n)
        num_bytes.append(len(content))
        return content

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "scan.npz", quantity="counts")
    assert 0 < sum(num_bytes) < array.nbytes / 10


@pytest.mark.parametrize(("read", "name"), [(load_object, "objectGuess"), (load_probe, "probe")])
def test_arrays_of_their_own_have_a_limit(
    read: Callable[[Path], object], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.random.default_rng(0).random((1, 100, 100))
    arrays: Arrays = {name: array}
    np.savez(tmp_path / "array.npz", **arrays)
    np.save(tmp_path / "array.npy", array)
    for path in (tmp_path / "array.npz", tmp_path / "array.npy"):
        read(path)
    monkeypatch.setenv(LIMIT_VARIABLE, "5e-5")
    for path in (tmp_path / "array.npz", tmp_path / "array.npy"):
        with pytest.raises(ScanError, match=r"shape \(1, 100, 100\) .* GB are allowed"):
            read(path)


@pytest.mark.parametrize(("changed_s", "advice"), [(1e10, "still being written"), (1, "copy it")])
def test_a_file_that_grows_may_still_be_written(
    changed_s: float, advice: str, tmp_path: Path
) -> None:
    write_npz(tmp_path / "scan.npz", {})
    whole = (tmp_path / "scan.npz").read_bytes()
    (tmp_path / "scan.npz").write_bytes(whole[:5000])
    os.utime(tmp_path / "scan.npz", (changed_s, changed_s))
    with pytest.raises(ScanError, match=advice) as caught:
        load_scan(tmp_path / "scan.npz")
    assert ("being written" in str(caught.value)) == (advice != "copy it")


def directory_of(content: bytearray) -> int:
    """Return where the list of members starts."""
    return content.index(b"PK\x01\x02")


def hide_bad_pixels(content: bytearray) -> None:
    content[content.index(b"bad_pixels", directory_of(content))] ^= 1


def hide_all_after_the_first(content: bytearray) -> None:
    """Let the comment of the first member cover the entries of the others."""
    start = directory_of(content)
    rest = content.rindex(b"PK\x05\x06") - content.index(b"PK\x01\x02", start + 4)
    content[start + 32 : start + 34] = rest.to_bytes(2, "little")


@pytest.mark.parametrize("spoil", [hide_bad_pixels, hide_all_after_the_first])
def test_the_list_of_members_cannot_hide_one(
    spoil: Callable[[bytearray], None], tmp_path: Path
) -> None:
    """Without its bad pixels, a scan would have its positions elsewhere, too."""
    write_npz(tmp_path / "scan.npz", {"bad_pixels": np.zeros((16, 16), bool)})
    content = bytearray((tmp_path / "scan.npz").read_bytes())
    spoil(content)
    (tmp_path / "scan.npz").write_bytes(content)
    with pytest.raises(ScanError, match=r"is not a readable NPZ file .*(differ|members)"):
        load_scan(tmp_path / "scan.npz", quantity="amplitude")
