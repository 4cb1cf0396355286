"""Commands say what is wrong before any work, and one line a file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from ptychonyx.cli import app, inspection, overview
from ptychonyx.cli.console.terminal import Show
from ptychonyx.cli.options.shared import load_asked
from ptychonyx.runtime import save_scan
from ptychonyx.runtime.errors import ImplausibleError
from ptychonyx.runtime.plausibility import summary
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.turns import Turn


@pytest.fixture
def folder(small_scan: Scan, tmp_path: Path) -> Path:
    save_scan(small_scan, tmp_path / "right.npz")
    save_scan(Turn(flip="x").apply(small_scan), tmp_path / "flipped.npz")
    patterns = np.fft.ifftshift(np.array(small_scan.patterns), axes=(1, 2))
    save_scan(replace(small_scan, patterns=patterns), tmp_path / "corner.npz")
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, ValueError):
        raise result.exception
    return result.exit_code, result.stdout


def test_a_folder_gets_a_line_for_each_file(folder: Path) -> None:
    code, text = run("inspect", folder, "--quantity", "counts", "--json")
    lines = {Path(line["file"]).name: line for line in json.loads(text)}
    assert code == 2
    assert sorted(lines) == ["corner.npz", "flipped.npz", "right.npz"]
    assert lines["right.npz"]["findings"] == []
    assert lines["right.npz"]["num_patterns"] == 40
    assert lines["right.npz"]["window_px"] == 32
    assert lines["flipped.npz"]["findings"] == ["orientation"]
    assert lines["corner.npz"]["findings"] == ["dc-off-center"]
    code, text = run("inspect", folder, "--quantity", "counts")
    assert "3 files" in text


def test_a_file_that_cannot_be_read_says_why_and_hides_none(folder: Path) -> None:
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    _, text = run("inspect", folder, "--quantity", "counts", "--json")
    lines = {Path(line["file"]).name: line for line in json.loads(text)}
    assert lines["broken.npz"]["what"] == "unreadable"
    assert lines["broken.npz"]["reason"]
    assert len(lines) == 4


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no scan, product or model"):
        run("inspect", tmp_path)


def test_inspect_names_the_orientation_and_the_option_cures_it(folder: Path) -> None:
    file = folder / "flipped.npz"
    _, text = run("inspect", file, "--quantity", "counts", "--check-orientation", "--json")
    found = json.loads(text)["orientation"]
    assert (found["verdict"], found["options"]) == ("wrong", "--flip x")
    _, text = run("inspect", file, "--quantity", "counts", "--flip", "x", "--json")
    assert json.loads(text)["findings"] == []


def test_what_is_wrong_ends_inspect_and_reconstruct_alike(folder: Path) -> None:
    file, output = folder / "corner.npz", folder / "product.h5"
    for command in (("inspect", file), ("reconstruct", file, "-o", output)):
        with pytest.raises(ImplausibleError, match=r"--dc 0,0.*\n  --accept dc-off-center"):
            run(*command, "--quantity", "counts")
    assert not output.exists()
    code, _ = run(
        "reconstruct", file, "-o", output, "--quantity", "counts", "--dc", "0,0", "--passes", "1"
    )
    assert code == 0


def test_a_result_that_is_not_believable_ends_strict_commands(folder: Path) -> None:
    words = ("reconstruct", folder / "flipped.npz", "-o", folder / "p.h5", "--quantity", "counts")
    code, text = run(*words, "--passes", "2")
    assert code == 0
    assert "NOT BELIEVABLE" in text
    code, _ = run(*words, "--passes", "2", "--strict")
    assert code == 1
    code, text = run(*words, "--passes", "2", "--strict", "--flip", "x")
    assert (code, "NOT BELIEVABLE" in text) == (0, False)
    _, text = run("inspect", folder / "p.h5", "--json")
    assert json.loads(text)["product"]["believable"] == "yes"
    assert json.loads(text)["product"]["turned"] == "--flip x"


def test_unknown_names_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="`--accept` is 'all', expected one of"):
        run("inspect", folder / "right.npz", "--accept", "all")
    with pytest.raises(ValueError, match="`dc` is '3'"):
        run("inspect", folder / "right.npz", "--dc", "3")


def test_a_scan_whose_quantity_must_be_said_is_a_scan_all_the_same(folder: Path) -> None:
    code, text = run("inspect", folder, "--json")
    lines = {Path(line["file"]).name: line for line in json.loads(text)}
    assert code == 2
    assert "--quantity counts" in lines["right.npz"]["reason"]
    assert "no scan" not in lines["right.npz"]["what"]


class Counting:
    """Patterns that count how often each was read."""

    def __init__(self, scan: Scan) -> None:
        self.source, self.times = scan.patterns, np.zeros(scan.num_patterns, int)
        self.shape, self.dtype = self.source.shape, self.source.dtype

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        self.times[key] += 1
        return self.source[key]


@pytest.mark.parametrize("has_picture", [True, False])
def test_every_pattern_is_read_once(
    has_picture: bool, small_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_picture:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    save_scan(replace(small_scan, object_=None), tmp_path / "a.npz")
    save_scan(replace(small_scan, object_=None), tmp_path / "b.npz")
    read: list[Counting] = []

    def counting(*words: Any) -> Scan:
        scan = load_asked(*words)
        read.append(Counting(scan))
        return replace(scan, patterns=read[-1])

    monkeypatch.setattr(overview, "load_asked", counting)
    monkeypatch.setattr(inspection, "load_asked", counting)
    picture = ("--plot", tmp_path / "a.png") if has_picture else ()
    run("inspect", *([tmp_path / "a.npz"] if has_picture else [tmp_path]), "--quantity", "counts",
        *picture)  # fmt: skip
    assert len(read) == (1 if has_picture else 2)
    for patterns in read:
        assert patterns.times.tolist() == [1] * 40


def test_a_scan_is_shown_while_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[float] = []

    @contextmanager
    def progress_bar(title: str, total: int | None) -> Iterator[Show]:
        yield lambda done, *, total=None, title=None: shown.append(done)

    monkeypatch.setattr(inspection, "progress_bar", progress_bar)
    monkeypatch.setattr(summary, "READ_VALUES", 10 * 32**2)
    run("inspect", folder / "right.npz", folder / "flipped.npz", "--quantity", "counts")
    assert shown == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1.25, 1.5, 1.75, 2, 2]


@pytest.mark.parametrize(
    ("name", "backend"),
    [("best.pth", "pytorch"), ("last.ckpt", "pytorch"), ("best.keras", "tensorflow")],
)
def test_a_network_that_was_not_exported_is_named(name: str, backend: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as file:
        file.writestr("archive/data.pkl", "weights")
    message = rf"is a native checkpoint of {backend}.*ptychonyx export RUN -o model\.onnx"
    with pytest.raises(ValueError, match=message):
        run("inspect", tmp_path / name)


def test_what_is_no_scan_may_be_a_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"no known format; .*Models are inspected, too: \.onnx"):
        run("inspect", tmp_path / "notes.txt")
