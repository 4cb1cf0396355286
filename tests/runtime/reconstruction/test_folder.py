"""The command that a remote run calls: a folder in, a folder out, events, exit codes, signals."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from model_files import TinyModel
from solver_files import SolverPath

from ptychonyx.runtime.formats import load_product, save_scan
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
from ptychonyx.runtime.scan import Frame, Scan

ROOT = Path(__file__).parents[3]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
COMMAND = [sys.executable, "-c", "from ptychonyx.cli import main; main()", "reconstruct-folder"]
ENVIRONMENT = os.environ | {"PYTHONPATH": PATHS, "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def folder(small_scan: Scan, tiny_model: TinyModel, tmp_path: Path) -> Path:
    """A standard input folder; the canvas is neither square nor at the origin."""
    assert small_scan.object_ is not None
    frame = Frame(small_scan.object_.shape, (3e-6, -1e-6), (1e-8, 1e-8))
    scan = dataclasses.replace(small_scan, frame=frame, object_corner_px=(0.0, 0.0))
    save_scan(scan, tmp_path / "input")
    model = tiny_model(window_px=32, patch_px=16)
    (tmp_path / "input" / "model.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "input"


def run(folder: Path, *options: object, code: int = 0) -> str:
    output = folder.with_name("output")
    words = ["-i", folder, "-o", output, *options]
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def events_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_product_is_that_of_the_plain_path(folder: Path, small_scan: Scan) -> None:
    (folder / "settings.ini").write_text("[Ptychonyx]\nBatchSize = 16\nPatchWeights = hann\n")
    events = folder.with_name("events.ndjson")
    message = run(folder, "--events", events)
    assert "40 of 40 patterns" in message
    lines = events_of(events)
    names = [line["event"] for line in lines]
    assert names == ["started", "progress", "progress", "progress", "finished"]
    assert lines[0]["num_patterns"] == 40
    assert [line["num_patterns_done"] for line in lines[1:4]] == [16, 32, 40]
    assert lines[-1]["complete"] is True
    path = Path(str(lines[-1]["product"]))
    assert [file.name for file in path.parent.iterdir()] == ["product.h5"]
    product, given = load_product(path), load_product(folder / "product.h5")
    assert product.object_.shape == given.object_.shape
    assert product.frame == given.frame
    assert product.metadata["patch_weights"] == "hann"
    assert product.metadata["batch_size"] == 16
    model = Model(folder / "model.onnx", provider="cpu")
    scan = dataclasses.replace(small_scan, frame=given.frame)
    plain = reconstruct(scan, model, ReconstructionOptions(batch_size=40, patch_weights="hann"))
    np.testing.assert_allclose(product.object_, plain.object_, atol=1e-5)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no patterns": (lambda f: (f / "diffraction.h5").unlink(), "has no diffraction.h5"),
    "corrupt model": (lambda f: (f / "model.onnx").write_bytes(b"no"), "model.onnx"),
    "corrupt patterns": (lambda f: (f / "diffraction.h5").write_bytes(b"no"), "diffraction.h5"),
    "unknown provider": (
        lambda f: (f / "settings.ini").write_text("[Ptychonyx]\nProvider = npu"),
        "choose one of auto, cpu",
    ),
    "wrong number": (
        lambda f: (f / "settings.ini").write_text("[Ptychonyx]\nBatchSize = many"),
        "BatchSize is wrong: `batch_size` is 'many', expected int",
    ),
    "wrong passes": (
        lambda f: (f / "settings.ini").write_text("[Ptychonyx]\nPasses = some"),
        "Passes is wrong: `passes` is 'some'",
    ),
    "no settings file": (
        lambda f: (f / "settings.ini").write_text("BatchSize = 3"),
        "cannot be read as a settings file",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_code_2_and_an_event(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    events = folder.with_name("events.ndjson")
    text = run(folder, "--events", events, code=2)
    assert message in text
    assert "Traceback" not in text
    (line,) = events_of(events)
    assert line["event"] == "error"
    assert message in str(line["message"])
    assert not folder.with_name("output").exists()


def test_a_provider_that_does_not_start_is_code_1(folder: Path) -> None:
    (folder / "settings.ini").write_text("[Ptychonyx]\nProvider = cuda\n")
    assert "cuda does not start" in run(folder, code=1)


def test_the_input_is_never_overwritten(folder: Path) -> None:
    before = (folder / "product.h5").read_bytes()
    assert "would be destroyed" in run(folder, "-o", folder, code=2)
    assert (folder / "product.h5").read_bytes() == before


def test_an_event_file_that_cannot_be_made_is_code_2(folder: Path) -> None:
    text = run(folder, "--events", folder / "no" / "where", code=2)
    assert "There is no folder" in text
    assert "make it first" in text


def test_an_unknown_setting_is_a_warning(folder: Path) -> None:
    (folder / "settings.ini").write_text("[Ptychonyx]\nBatchSise = 3\n[Ptychi]\nA = b\n")
    assert "no setting batchsise" in run(folder)


def test_options_win_over_the_settings_file(folder: Path) -> None:
    (folder / "settings.ini").write_text("[Ptychonyx]\nBatchSize = 16\nPatchWeights = hann\n")
    run(folder, "--batch-size", 5, "--scale", 0.125)
    metadata = load_product(folder.with_name("output") / "product.h5").metadata
    assert metadata["batch_size"] == 5
    assert metadata["input_scale"] == 0.125
    assert metadata["patch_weights"] == "hann"


def test_without_a_model_the_scan_is_solved(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "settings.ini").write_text("[Ptychonyx]\nPasses = 9\nBatchSize = 5\n")
    events = folder.with_name("events.ndjson")
    assert " s, 3 passes." in run(folder, "--events", events, "--passes", 3)
    started, *passes, _ = events_of(events)
    assert (started["method"], started["model"]) == ("passes", None)
    assert [line["num_passes_done"] for line in passes] == [1, 2, 3]
    product = load_product(folder.with_name("output") / "product.h5")
    assert product.pass_residuals is not None
    assert [line["residual"] for line in passes] == product.pass_residuals.tolist()


def test_the_settings_may_name_a_network_between_passes(
    folder: Path, solver_path: SolverPath
) -> None:
    network = solver_path()
    (folder / "settings.ini").write_text(f"[Ptychonyx]\nSolverNetwork = {network}\nPasses = 2\n")
    run(folder)  # with a model no passes are made, so nothing looks at it
    (folder / "model.onnx").unlink()
    assert "was trained on 3 features of version 1" in run(folder, code=2)
    (folder / "settings.ini").write_text("[Ptychonyx]\nSolverNetwork = .\nPasses = 2\n")
    assert " s, 2 passes." in run(folder)


def test_trial_passes_are_told_apart(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    events = folder.with_name("events.ndjson")
    run(folder, "--events", events)
    _, *passes, _ = events_of(events)
    trials = [line["num_trial_passes_done"] for line in passes if "num_trial_passes_done" in line]
    assert trials == list(range(1, len(trials) + 1))
    metadata = load_product(folder.with_name("output") / "product.h5").metadata
    assert len(passes) - len(trials) == metadata["passes"]


def test_passes_follow_the_network_where_the_settings_say_so(folder: Path) -> None:
    (folder / "settings.ini").write_text("[Ptychonyx]\nRefinePasses = 2\n")
    events = folder.with_name("events.ndjson")
    run(folder, "--events", events, "--noise", "poisson")
    started, *progress, _ = events_of(events)
    assert started["method"] == "network and passes"
    assert [line.get("num_passes_done") for line in progress] == [None, 1, 2]
    metadata = load_product(folder.with_name("output") / "product.h5").metadata
    assert (metadata["passes"], metadata["noise"]) == (2, "poisson")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--passes", 3), "add `--refine K`"),
        (("--refine", 3, "--batch-size", 4), "there is no model"),
    ],
)
def test_flags_that_nothing_would_follow_are_code_2_and_an_event(
    folder: Path, flags: tuple[object, ...], message: str
) -> None:
    if "--refine" in flags:
        (folder / "model.onnx").unlink()
    events = folder.with_name("events.ndjson")
    assert message in run(folder, *flags, "--events", events, code=2)
    assert events_of(events)[0]["event"] == "error"
    assert not folder.with_name("output").exists()


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_whole_product_of_what_was_done(
    folder: Path, number: signal.Signals
) -> None:
    repeat_patterns(folder, 400)
    (folder / "settings.ini").write_text("[Ptychonyx]\nBatchSize = 1\nAlignPatchPhase = True\n")
    events, output = folder.with_name("events"), folder.with_name("output")
    words = ["-i", folder, "-o", output, "--events", events]
    process = subprocess.Popen([*COMMAND, *map(str, words)], env=ENVIRONMENT)
    deadline = time.monotonic() + 600
    while not events.exists() or '"progress"' not in events.read_text():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    *_, cancelling, finished = events_of(events)
    assert (cancelling["event"], finished["event"]) == ("cancelling", "finished")
    assert finished["complete"] is False
    product = load_product(output / "product.h5")
    assert product.complete is False
    assert product.num_patterns_used == finished["num_patterns_used"]
    assert [file.name for file in output.iterdir()] == ["product.h5"]


@pytest.mark.integration
def test_a_kill_leaves_no_product(folder: Path) -> None:
    repeat_patterns(folder, 400)
    (folder / "settings.ini").write_text("[Ptychonyx]\nBatchSize = 1\n")
    events, output = folder.with_name("events"), folder.with_name("output")
    words = ["-i", folder, "-o", output, "--events", events]
    process = subprocess.Popen([*COMMAND, *map(str, words)], env=ENVIRONMENT)
    deadline = time.monotonic() + 600
    while not events.exists() or '"progress"' not in events.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (output / "product.h5").exists()


def repeat_patterns(folder: Path, times: int) -> None:
    """Make the scan long, so that a signal surely comes in the middle."""
    with h5py.File(folder / "diffraction.h5", "r+") as file:
        attributes = dict(file["patterns"].attrs)
        patterns = np.tile(file["patterns"][()], (times, 1, 1))
        del file["patterns"], file["indexes"]
        file["patterns"], file["indexes"] = patterns, np.arange(len(patterns))
        file["patterns"].attrs.update(attributes)
    with h5py.File(folder / "product.h5", "r+") as file:
        for name in ("probe_position_x_m", "probe_position_y_m"):
            values = np.tile(file[name][()], times)
            del file[name]
            file[name] = values
        del file["probe_position_indexes"]
        file["probe_position_indexes"] = np.arange(len(values))
