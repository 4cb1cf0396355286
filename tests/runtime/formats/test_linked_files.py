"""What an HDF5 file reads from elsewhere counts as an input, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime.files import Output, check_outputs
from ptychonyx.runtime.formats import files_of, save_scan
from ptychonyx.runtime.formats.linked_files import linked_files
from ptychonyx.runtime.scan import Scan


def link(patterns: h5py.Dataset, file: h5py.File) -> None:
    file["patterns"] = h5py.ExternalLink("raw/raw.h5", "/data")


def assemble(patterns: h5py.Dataset, file: h5py.File) -> None:
    layout = h5py.VirtualLayout(patterns.shape, patterns.dtype)
    layout[:] = h5py.VirtualSource("raw/raw.h5", "data", patterns.shape)
    file.create_virtual_dataset("patterns", layout)


@pytest.mark.parametrize("way", [link, assemble])
def test_patterns_that_lie_elsewhere_are_not_destroyed(
    way: Callable[[h5py.Dataset, h5py.File], None], small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path / "in")
    raw = tmp_path / "in" / "raw" / "raw.h5"
    raw.parent.mkdir()
    with h5py.File(raw, "w") as out, h5py.File(tmp_path / "in" / "diffraction.h5", "r+") as file:
        out["data"] = file["patterns"][()]
        del file["patterns"]
        way(out["data"], file)
    assert raw in files_of(tmp_path / "in")
    with pytest.raises(ValueError, match="would be destroyed"):
        check_outputs(files_of(tmp_path / "in"), [Output(raw)])


def test_links_in_groups_and_circles_are_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/b"] = h5py.ExternalLink("b.h5", "/")
        file["entry/gone"] = h5py.ExternalLink("gone.h5", "/")
        file["entry/soft"] = h5py.SoftLink("/entry")
        file["own"] = np.arange(3)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["a"] = h5py.ExternalLink("a.h5", "/")
        file["c"] = h5py.ExternalLink("c.h5", "/")
    (tmp_path / "c.h5").write_bytes(b"no HDF5")
    assert [each.name for each in linked_files(tmp_path / "a.h5")] == ["b.h5", "c.h5"]
