"""What a user sees in Ptychodus' window: drawn without a screen, kept as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.formats import load_product

from .conftest import PICTURES, Environment

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]

SETTINGS = (
    "Provider:", "Batch Size:", "Patch Weights:", "Subpixel Method:", "Align Phase of Patches:",
    "Input Scale:", "Residual Patterns:", "Backend:", "Epochs:", "Loss:",
)  # fmt: skip


SOLVER_SETTINGS = (
    "Passes:", "Budget In Seconds:", "Noise:", "Refine Probe:", "Probe Modes:", "Probe Scale:",
    "Residual Patterns:", "Use Separate Process:", "Solver Network:", "Provider:",
)  # fmt: skip


def drive(environment: Environment, *words: object) -> tuple[dict[str, Any], str]:
    """Return what was seen in the window, and all that was printed."""
    output = environment.call(
        "python",
        Path(__file__).with_name("drive_window.py"),
        *words,
        variables={"QT_QPA_PLATFORM": "offscreen"},
    )
    (line,) = (each for each in output.splitlines() if each.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT ")), output


def test_choose_a_model_press_infer(environment: Environment, folder: Path) -> None:
    pictures = PICTURES / environment.release
    seen, output = drive(environment, "infer", folder, pictures)
    assert seen["listed"] == ["ptychonyx_onnx", "ptychonyx_solver"]
    assert seen["page"] == "ParameterWidget"
    assert set(SETTINGS) <= set(seen["texts"])
    assert not any("not found" in text for text in seen["texts"])
    assert seen["button"] == "Infer"
    assert seen["enabled"] == [False, True]
    given, result = seen["products"]
    assert result == f"{given}_ptychonyx_onnx"
    assert 0.1 < seen["mean"] < 2
    assert "no settings page" not in output
    names = sorted(path.name for path in pictures.iterdir())
    assert [name[:2] for name in names] == ["1-", "2-", "3-", "4-"]
    before, after = ((pictures / names[index]).read_bytes() for index in (0, 3))
    assert min(len(before), len(after)) > 10_000
    assert before != after


def test_passes_are_made_as_the_page_says(
    environment: Environment, solver_folder: Path, tmp_path: Path
) -> None:
    pictures = PICTURES / f"{environment.release}-solver"
    seen, output = drive(environment, "solve", solver_folder, pictures)
    assert seen["page"] == "ParameterWidget"
    assert set(SOLVER_SETTINGS) <= set(seen["texts"])
    assert seen["button"] == "Reconstruct"  # no model has to be loaded
    assert len(seen["losses"]) == 4
    assert "no settings page" not in output
    words = ("--passes", 4, "--refine-probe", "-o", tmp_path / "command.h5")
    environment.call("ptychonyx", "reconstruct", solver_folder, *words)
    shown, command = load_product(pictures / "product.h5"), load_product(tmp_path / "command.h5")
    assert np.abs(shown.object_ - command.object_).max() <= 1e-5
    np.testing.assert_allclose(shown.probe, command.probe, atol=1e-5 * np.abs(command.probe).max())
