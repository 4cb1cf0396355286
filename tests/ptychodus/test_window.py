"""What a user sees in Ptychodus' window: drawn without a screen, kept as pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import PICTURES, Environment

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]

SETTINGS = (
    "Provider:", "Batch Size:", "Patch Weights:", "Subpixel Method:", "Align Phase of Patches:",
    "Input Scale:", "Residual Patterns:", "Backend:", "Epochs:", "Loss:",
)  # fmt: skip


def test_choose_a_model_press_infer(environment: Environment, folder: Path) -> None:
    pictures = PICTURES / environment.release
    output = environment.call(
        "python",
        Path(__file__).with_name("drive_window.py"),
        folder,
        pictures,
        variables={"QT_QPA_PLATFORM": "offscreen"},
    )
    (line,) = (each for each in output.splitlines() if each.startswith("RESULT "))
    seen = json.loads(line.removeprefix("RESULT "))
    assert seen["listed"] == ["ptychonyx_onnx"]
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
