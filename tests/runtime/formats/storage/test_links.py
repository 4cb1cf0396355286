"""A scan is read from HDF5 files in its own folder, and from no other file of the machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime import load_object, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan

Build = Callable[[h5py.File, Path], object]


def raw(file: h5py.File, target: Path) -> None:
    """Take the patterns from the bytes of any file."""
    external = [(str(target), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("patterns", (40, 32, 32), np.uint8, external=external)


def link(file: h5py.File, target: Path) -> None:
    file["patterns"] = h5py.ExternalLink(str(target), "patterns")


def link_to_link(file: h5py.File, target: Path) -> None:
    """Hide an external link behind a soft link and a group."""
    file.create_group("entry")["data"] = h5py.ExternalLink(str(target), "/")
    file["patterns"] = h5py.SoftLink("/entry/data/patterns")


def virtual(file: h5py.File, target: Path) -> None:
    layout = h5py.VirtualLayout((40, 32, 32), np.uint32)
    layout[:] = h5py.VirtualSource(str(target), "patterns", (40, 32, 32))
    file.create_virtual_dataset("patterns", layout)


WAYS: dict[str, Build] = {
    "link": link,
    "soft and external link": link_to_link,
    "virtual dataset": virtual,
}


def scan_with(folder: Path, scan: Scan, build: Build, target: Path, name: Path) -> Path:
    """Write a scan whose patterns are in another file, which is named in some way."""
    folder.mkdir(exist_ok=True)
    save_scan(scan, folder)
    target.parent.mkdir(exist_ok=True)
    shutil.move(folder / "diffraction.h5", target)
    with h5py.File(folder / "diffraction.h5", "w") as file:
        build(file, name)
    return folder


@pytest.mark.parametrize("build", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("inside", ["data.h5", "raw/data.h5"])
def test_files_in_the_folder_are_followed(
    inside: str, build: Build, small_scan: Scan, tmp_path: Path
) -> None:
    folder = tmp_path / "scan"
    scan_with(folder, small_scan, build, folder / inside, Path(inside))
    read = load_scan(folder)
    np.testing.assert_array_equal(read.patterns[3:9], small_scan.patterns[3:9])


@pytest.mark.parametrize("build", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", ["../other/data.h5", "{}/other/data.h5", "inside.h5"])
def test_files_elsewhere_are_refused(
    name: str, build: Build, small_scan: Scan, tmp_path: Path
) -> None:
    folder, target = tmp_path / "scan", tmp_path / "other" / "data.h5"
    scan_with(folder, small_scan, build, target, Path(name.format(tmp_path)))
    (folder / "inside.h5").symlink_to(target)
    with pytest.raises(ScanError, match=r"(data|inside)\.h5, outside the folder .*scan;"):
        load_scan(folder)


@pytest.mark.parametrize("build", WAYS.values(), ids=WAYS)
def test_a_file_that_is_missing_is_named(build: Build, small_scan: Scan, tmp_path: Path) -> None:
    folder = scan_with(tmp_path, small_scan, build, tmp_path / "data.h5", Path("data.h5"))
    (tmp_path / "data.h5").unlink()
    with pytest.raises(ScanError, match=r"lies in another file, data\.h5, which is missing"):
        load_scan(folder)


def test_raw_bytes_of_other_files_are_refused(small_scan: Scan, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    scan_with(tmp_path / "scan", small_scan, raw, tmp_path / "data.h5", secret)
    secret.write_bytes(bytes(40 * 32 * 32))
    with pytest.raises(ScanError, match=r"`/patterns` of .* raw bytes of another file, .*secret"):
        load_scan(tmp_path / "scan")
    with h5py.File(tmp_path / "scan" / "product.h5", "r+") as file:
        attributes = dict(file["object"].attrs)
        del file["object"]
        external = [(str(secret), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("object", (1, 30, 30), np.uint8, external=external)
        file["object"].attrs.update(attributes)
    with pytest.raises(ScanError, match="raw bytes of another file"):
        load_object(tmp_path / "scan" / "product.h5")


@pytest.mark.parametrize("build", WAYS.values(), ids=WAYS)
def test_raw_bytes_behind_links_are_refused(build: Build, small_scan: Scan, tmp_path: Path) -> None:
    scan_with(tmp_path, small_scan, build, tmp_path / "data.h5", Path("data.h5"))
    (tmp_path / "secret.txt").write_bytes(bytes(40 * 32 * 32))
    with h5py.File(tmp_path / "data.h5", "w") as file:
        raw(file, tmp_path / "secret.txt")
    with pytest.raises(ScanError, match="raw bytes of another file"):
        load_scan(tmp_path)


def test_links_in_a_circle_end(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "diffraction.h5", "r+") as file:
        del file["patterns"]
        file["patterns"] = h5py.SoftLink("/again")
        file["again"] = h5py.SoftLink("/patterns")
    with pytest.raises(ScanError, match="links to links"):
        load_scan(tmp_path)


READ = """
import sys
from pathlib import Path
import numpy as np
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats.linked_files import linked_files
from ptychonyx.runtime.formats.storage.hdf5 import Hdf5
used = [np.full(num // 8, -1) for num in range(16, 6000, 8) for _ in range(4)]
del used  # memory that is taken now holds no zeros
path = Path(sys.argv[1])
try:
    print(Hdf5(path).names)
except ScanError:
    print(linked_files(path))
"""


def test_damaged_names_do_not_end_the_process(tmp_path: Path) -> None:
    """With more than 8 members, HDF5 keeps their names apart, and frees what it has not filled."""
    path = tmp_path / "many.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for number in range(12):
            file[f"member{number:02d}"] = 1.0
    content = bytearray(path.read_bytes())
    content[content.index(b"member07")] ^= 1
    path.write_bytes(content)
    read = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False
    )
    assert (read.returncode, read.stdout) == (0, "[]\n"), read.stderr
