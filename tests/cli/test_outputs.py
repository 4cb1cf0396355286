"""No command destroys what it reads, whatever name the output is given."""

from __future__ import annotations

import hashlib
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
