"""No output destroys an input or another output, and one that cannot be is refused at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ptychonyx.runtime.files import Output, OutputFolder, check_outputs


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    (tmp_path / "scan.h5").write_text("data")
    return tmp_path / "scan.h5"


def link_to_a_link(scan: Path, new: Path) -> None:
    scan.with_name("l").symlink_to(scan)
    new.symlink_to("l")


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "hard link": os.link,
    "link": os.symlink,
    "link to a link": link_to_a_link,
}


@pytest.mark.parametrize("way", WAYS)
def test_another_name_of_an_input_is_the_input(way: str, scan: Path, tmp_path: Path) -> None:
    WAYS[way](scan, tmp_path / "out.h5")
    with pytest.raises(ValueError, match="would be destroyed; give another name"):
        check_outputs([scan], [Output(tmp_path / "out.h5")])


def test_a_file_of_a_folder_that_is_read_is_an_input(scan: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would be destroyed"):
        check_outputs([tmp_path], [Output(scan)])


def test_two_names_of_one_new_file_are_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    outputs = [Output(tmp_path / name / "a.h5") for name in ("folder", "link")]
    with pytest.raises(ValueError, match="named twice"):
        check_outputs([], outputs)


def test_a_link_that_leads_to_another_output_is_that_output(tmp_path: Path) -> None:
    (tmp_path / "plot.png").symlink_to("product.h5")  # which is not there yet
    with pytest.raises(ValueError, match="named twice"):
        check_outputs([], [Output(tmp_path / "product.h5"), Output(tmp_path / "plot.png")])


def test_other_names_are_fine(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "old.h5").write_text("replaced")
    check_outputs(
        [scan],
        [
            Output(tmp_path / "old.h5"),
            Output(tmp_path / "b.PNG", (".png",)),
            Output(tmp_path / "new" / "folder" / "c.h5", is_folder_made=True),
            OutputFolder(tmp_path / "run", is_emptied=True),
            Output(Path("/dev/null"), is_stream=True),
        ],
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.h5", "scan.h5"]


REFUSED: dict[str, tuple[Output | OutputFolder, str]] = {
    "folder": (Output(Path("folder")), "is a folder, but a file"),
    "here": (Output(Path()), "is a folder, but a file"),
    "pipe": (Output(Path("pipe")), "no regular file"),
    "device": (Output(Path("/dev/null")), "no regular file"),
    "link to itself": (Output(Path("loop")), "no regular file"),
    "nowhere": (Output(Path("no/where/a.h5")), "There is no folder .*make it first"),
    "link to nowhere": (Output(Path("lost")), "There is no folder .*make it first"),
    "below a file": (Output(Path("file/a.h5"), is_folder_made=True), "which is a file"),
    "ending": (Output(Path("a.tif"), (".h5", ".npz")), r"must end in one of: \.h5, \.npz"),
    "long": (Output(Path("n" * 250)), "cannot be made"),
    "folder that is a file": (OutputFolder(Path("file")), "is a file; give the name of a folder"),
    "folder of the input": (OutputFolder(Path(), is_emptied=True), "would be deleted"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_is_refused(
    name: str, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo("pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").symlink_to("no/where.h5")
    before = sorted(tmp_path.rglob("*"))
    output, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        check_outputs([scan], [output])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("closed", ["folder", "folder/old.h5"])
@pytest.mark.parametrize("kind", [Output, OutputFolder])
def test_a_place_where_nothing_may_be_written_is_refused(
    closed: str,
    kind: Callable[[Path], Output | OutputFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old.h5").touch()

    def may(path: Path, mode: int) -> bool:  # the tests may run as root, who may do everything
        return path != tmp_path / closed

    monkeypatch.setattr(os, "access", may)
    path = tmp_path / "folder" / "old.h5" if kind is Output else tmp_path / "folder"
    if kind is OutputFolder and closed != "folder":
        check_outputs([], [kind(path)])
        return
    with pytest.raises(ValueError, match="allow writing"):
        check_outputs([], [kind(path)])
