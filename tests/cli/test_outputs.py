"""No command destroys what it reads, whatever name the output is given."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ptychonyx.cli import app
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan


@dataclass(frozen=True)
class Case:
    """A command, and the input that its output names; `{x}` are paths below the folder."""

    words: str
    link: tuple[str, str] | None = None
    """A link (new name, old name) to make first."""


RECONSTRUCT = "reconstruct {scan.npz} --quantity counts -m {model.onnx}"
FOLDER = "reconstruct {input} -m {model.onnx}"
CASES = {
    "scan": Case(f"{RECONSTRUCT} -o {{scan.npz}}"),
    "scan by another way": Case(f"{RECONSTRUCT} -o {{input/../scan.npz}}"),
    "scan by a link": Case(f"{RECONSTRUCT} -o {{link.npz}}", ("link.npz", "scan.npz")),
    "scan's folder by a link": Case(f"{FOLDER} -o {{other/product.h5}}", ("other", "input")),
    "product of a folder": Case(f"{FOLDER} -o {{input/product.h5}}"),
    "patterns of a folder": Case(f"{FOLDER} -o {{input/diffraction.h5}}"),
    "product beside patterns": Case(
        "reconstruct {input/diffraction.h5} -m {model.onnx} -o {input/product.h5}"
    ),
    "patterns beside a product": Case(
        "reconstruct {input/product.h5} -m {model.onnx} -o {input/diffraction.h5}"
    ),
    "patterns given apart": Case(
        "reconstruct {apart/product.h5} --patterns {raw.h5} -m {model.onnx} -o {raw.h5}"
    ),
    "model": Case(f"{RECONSTRUCT} -o {{model.h5}}", ("model.h5", "model.onnx")),
    "scan that is solved": Case("reconstruct {scan.npz} --quantity counts -o {scan.npz}"),
    "probe of passes": Case(
        "reconstruct {scan.npz} --quantity counts --probe {apart/product.h5} -o {apart/product.h5}"
    ),
    "start of passes": Case(
        "reconstruct {scan.npz} --quantity counts --start {apart/product.h5} -o {p.h5}",
        ("p.h5", "apart/product.h5"),
    ),
    "picture on the scan": Case(
        f"{RECONSTRUCT} -o {{new.h5}} --plot {{p.png}}", ("p.png", "scan.npz")
    ),
    "picture on the model": Case(
        f"{RECONSTRUCT} -o {{new.h5}} --plot {{p.png}}", ("p.png", "model.onnx")
    ),
    "picture on the product": Case(
        f"{RECONSTRUCT} -o {{new.h5}} --plot {{p.png}}", ("p.png", "new.h5")
    ),
    "inspect's picture": Case(
        "inspect {scan.npz} --quantity counts --plot {p.png}", ("p.png", "scan.npz")
    ),
    "inspect's picture of a folder": Case(
        "inspect {input} --plot {p.png}", ("p.png", "input/diffraction.h5")
    ),
    "compare's picture on a": Case(
        "compare {scan.npz} {input} --plot {p.png}", ("p.png", "scan.npz")
    ),
    "compare's picture on b": Case(
        "compare {scan.npz} {input} --plot {p.png}", ("p.png", "input/product.h5")
    ),
    "compare's picture on the scan": Case(
        "compare {scan.npz} {scan.npz} --scan {input} --plot {p.png}",
        ("p.png", "input/diffraction.h5"),
    ),
    "folder into itself": Case("reconstruct-folder -i {input} -o {input}"),
    "folder into itself by a link": Case(
        "reconstruct-folder -i {input} -o {other}", ("other", "input")
    ),
    "events on patterns": Case(
        "reconstruct-folder -i {input} -o {out} --events {input/diffraction.h5}"
    ),
    "events on settings": Case(
        "reconstruct-folder -i {input} -o {out} --events {e}", ("e", "input/settings.ini")
    ),
    "events on the model": Case(
        "reconstruct-folder -i {input} -o {out} --events {input/model.onnx}"
    ),
    "events on the product": Case(
        "reconstruct-folder -i {input} -o {out} --events {out/product.h5}"
    ),
    "fleet of passes into a scan's folder": Case("reconstruct-many {input/product.h5} -o {input}"),
    "fleet into a scan's folder": Case(
        "reconstruct-many {input/product.h5} -m {model.onnx} -o {input}"
    ),
    "fleet's product on another scan": Case(
        "reconstruct-many {apart/product.h5} {scan.npz} -m {model.onnx} -o {other}",
        ("other/scan.h5", "apart/product.h5"),
    ),
    "fleet's product on the model": Case(
        "reconstruct-many {scan.npz} -m {model.onnx} -o {other}", ("other/scan.h5", "model.onnx")
    ),
    "fleet's report on a scan": Case(
        "reconstruct-many {scan.npz} -m {model.onnx} -o {other}", ("other/report.html", "scan.npz")
    ),
    "simulate on a scan": Case("simulate -o {scan.npz}"),
    "simulate on a folder": Case("simulate -o {input}"),
    "run on a scan": Case("train {run/scan.npz} -o {run} --overwrite"),
    "run on its scan's folder": Case("train {run/pair} -o {run} --overwrite"),
    "run on its configuration": Case(
        "train {scan.npz} --config {run/config.yaml} -o {run} --overwrite"
    ),
    "run on its probe": Case("train {scan.npz} --probe {run/probe.npy} -o {run} --overwrite"),
    "run on the run it starts from": Case(
        "train {scan.npz} --init-from {run} -o {run} --overwrite"
    ),
    "run on weights by a link": Case(
        "train {scan.npz} --init-from {other/weights.safetensors} -o {run} --overwrite",
        ("other", "run"),
    ),
    "export on weights": Case("export {run} -o {w.onnx}", ("w.onnx", "run/weights.safetensors")),
    "derive on its model": Case(
        "derive {model.onnx} -o {model.onnx} --precision int8 --calibration {scan.npz}"
    ),
    "derive on its scan": Case(
        "derive {model.onnx} -o {s.onnx} --precision int8 --calibration {scan.npz}",
        ("s.onnx", "scan.npz"),
    ),
}


IMPOSSIBLE = {
    "product that is a folder": (f"{RECONSTRUCT} -o {{input}}", "must end in"),
    "product that is a folder with an ending": (f"{RECONSTRUCT} -o {{f.h5}}", "is a folder"),
    "product that is a pipe": (f"{RECONSTRUCT} -o {{p.h5}}", "no regular file"),
    "product nowhere": (f"{RECONSTRUCT} -o {{no/where.h5}}", "There is no folder"),
    "picture of unknown ending": (f"{RECONSTRUCT} -o {{n.h5}} --plot {{n.xyz}}", "must end in one"),
    "picture without ending": (f"{RECONSTRUCT} -o {{n.h5}} --plot {{n}}", "must end in one of"),
    "picture that is a folder": (f"{RECONSTRUCT} -o {{n.h5}} --plot {{f.png}}", "is a folder"),
    "inspect's picture": ("inspect {scan.npz} --quantity counts --plot {n.xyz}", "must end in"),
    "model's picture": ("inspect {model.onnx} --plot {n.xyz}", "must end in one of"),
    "compare's picture": ("compare {scan.npz} {input} --plot {n.xyz}", "must end in one of"),
    "simulated scan of unknown ending": ("simulate -o {n.xyz}", "tells no format"),
    "simulated scan that is a folder": ("simulate -o {f.npz} --overwrite", "is a folder"),
    "simulated folder that is a file": (
        "simulate -o {scan.npz} --format ptychodus --overwrite",
        "which is a file",
    ),
    "folder's output that is a file": (
        "reconstruct-folder -i {input} -o {scan.npz}",
        "which is a file",
    ),
    "folder's product that is a folder": ("reconstruct-folder -i {input} -o {g}", "is a folder"),
    "events that are a folder": (
        "reconstruct-folder -i {input} -o {out} --events {input}",
        "is a folder",
    ),
    "fleet into a file": ("reconstruct-many {scan.npz} -o {model.onnx}", "is a file"),
    "run that is a file": ("train {scan.npz} -o {model.onnx}", "is a file"),
    "export of unknown ending": ("export {run} -o {n.pt}", "must end in .onnx"),
    "export that is a folder": ("export {run} -o {f.onnx}", "is a folder"),
    "derived that is a folder": (
        "derive {model.onnx} -o {f.onnx} --precision int8 --calibration {scan.npz}",
        "is a folder",
    ),
    "weights that a resumed run replaces": (
        "train {scan.npz} -o {run} --init-from {run/weights.safetensors}",
        "would be destroyed",
    ),
}
PIPES = (
    "compare {pipe.npy} {scan.npz}",
    "compare {scan.npz} {pipe.npy}",
    "reconstruct {scan.npz} --quantity counts --probe {pipe.npy} -o {n.h5}",
    "compare {pipe} {scan.npz}",
    "compare {scan.npz} {pipe}",
    "inspect {pipe}",
    "inspect {pipe.onnx}",
    "verify {pipe.onnx}",
    "reconstruct {pipe} -o {n.h5}",
    "reconstruct {scan.npz} --quantity counts -m {pipe.onnx} -o {n.h5}",
    "reconstruct {scan.npz} --quantity counts --probe {pipe} -o {n.h5}",
    "reconstruct {scan.npz} --quantity counts --start {pipe.h5} -o {n.h5}",
)


@pytest.fixture
def folder(small_scan: Scan, model_path: Callable[..., Path], tmp_path: Path) -> Path:
    save_scan(small_scan, tmp_path / "scan.npz")
    for name in ("input", "apart", "run/pair"):
        save_scan(small_scan, tmp_path / name) if name != "run/pair" else None
    (tmp_path / "apart" / "diffraction.h5").rename(tmp_path / "raw.h5")
    model_path(window_px=32, patch_px=16).rename(tmp_path / "model.onnx")
    (tmp_path / "input" / "model.onnx").write_bytes((tmp_path / "model.onnx").read_bytes())
    (tmp_path / "input" / "settings.ini").write_text("[Ptychonyx]\n")
    run = tmp_path / "run"
    run.mkdir()
    save_scan(small_scan, run / "pair")
    (run / "scan.npz").write_bytes((tmp_path / "scan.npz").read_bytes())
    (run / "config.yaml").write_text("epochs: 1\n")
    for name in ("weights.safetensors", "probe.npy"):
        (run / name).write_bytes(b"some bytes")
    return tmp_path


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", CASES)
def test_an_output_that_is_an_input_is_refused(name: str, folder: Path) -> None:
    case = CASES[name]
    if case.link is not None:
        new, old = (folder / each for each in case.link)
        new.parent.mkdir(exist_ok=True)
        new.symlink_to(old)
    before = digests(folder)
    words = case.words.replace("{", f"{folder}/").replace("}", "").split()
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ValueError), result.output
    message = str(result.exception)
    assert any(
        part in message for part in ("destroyed", "named twice", "exists already", "deleted")
    )
    assert digests(folder) == before


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("f.h5", "f.png", "f.npz", "f.onnx", "g/product.h5"):
        (folder / each).mkdir(parents=True)
    os.mkfifo(folder / "p.h5")
    before = sorted(folder.rglob("*"))

    def work(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr("ptychonyx.runtime.formats.load_scan", work)
    monkeypatch.setattr("ptychonyx.runtime.simulation.scan.simulate_scan", work)
    words, message = IMPOSSIBLE[name]
    result = CliRunner().invoke(app, words.replace("{", f"{folder}/").replace("}", "").split())
    assert isinstance(result.exception, ValueError), (result.output, result.exception)
    assert message in str(result.exception)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("words", PIPES)
def test_a_pipe_is_refused_and_nobody_waits(words: str, folder: Path) -> None:
    for each in ("pipe", "pipe.npy", "pipe.onnx", "pipe.h5"):
        os.mkfifo(folder / each)
    result = CliRunner().invoke(app, words.replace("{", f"{folder}/").replace("}", "").split())
    assert isinstance(result.exception, ValueError), (result.output, result.exception)
    assert "pipe" in str(result.exception)


def test_what_lies_beside_the_inputs_of_a_folder_is_no_input(folder: Path) -> None:
    """Products and events in the input folder are outputs, and are replaced."""
    words = f"reconstruct-folder -i {folder}/input -o {folder}/input/out --passes 2"
    (folder / "input" / "model.onnx").unlink()
    for _ in range(2):
        more = ["--events", f"{folder}/input/events.ndjson"]
        result = CliRunner().invoke(app, [*words.split(), *more], catch_exceptions=False)
        assert result.exit_code == 0


def test_a_model_file_in_its_run_folder_is_no_input(folder: Path) -> None:
    (folder / "run" / "model.onnx").touch()
    result = CliRunner().invoke(app, ["export", f"{folder}/run", "-o", f"{folder}/run/model.onnx"])
    assert "destroyed" not in str(result.exception)


def test_what_was_reconstructed_before_is_replaced(folder: Path) -> None:
    """A product beside its scan is an output, not an input."""
    words = f"{folder}/scan.npz --quantity counts -m {folder}/model.onnx -o {folder}/product.h5"
    for _ in range(2):
        result = CliRunner().invoke(app, ["reconstruct", *words.split()], catch_exceptions=False)
        assert result.exit_code == 0


def test_simulate_replaces_where_it_was_told_to(folder: Path) -> None:
    words = f"simulate -o {folder}/scan.npz --num-patterns 4 --window-px 16 --overwrite"
    before = digests(folder)["scan.npz"]
    assert CliRunner().invoke(app, words.split(), catch_exceptions=False).exit_code == 0
    assert digests(folder)["scan.npz"] != before
