"""Our section of a settings file of Ptychodus becomes the options of a reconstruction."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ptychonyx.runtime.reconstruction.options import DEFAULT_OPTIONS
from ptychonyx.runtime.reconstruction.settings import load_options


def test_all_settings_are_read(tmp_path: Path) -> None:
    text = "Provider=cpu\nBatchSize=auto\nInputScale=trained\nPatchWeights=hann\n"
    more = "SubpixelMethod=nearest\nAlignPatchPhase=yes\nResidualPatterns=3\nUseSeparateProcess=1\n"
    (tmp_path / "settings.ini").write_text(f"[Ptychonyx]\n{text}{more}")
    options = load_options(tmp_path / "settings.ini")
    assert dataclasses.astuple(options) == ("cpu", "auto", "trained", "hann", "nearest", True, 3)


@pytest.mark.parametrize("text", ["", "[Ptychi]\nBatchSize = 3\n", "[DEFAULT]\nBatchSize = 3\n"])
def test_without_our_section_nothing_changes(text: str, tmp_path: Path) -> None:
    (tmp_path / "settings.ini").write_text(text)
    assert load_options(tmp_path / "settings.ini") == DEFAULT_OPTIONS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Ptychonyx]\nProvider = npu", "Provider is wrong: .*choose one of auto, cpu"),
        ("[Ptychonyx]\nBatchSize = many", "BatchSize is wrong: `batch_size` is 'many'"),
        ("BatchSize = 3", "cannot be read as a settings file"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "settings.ini").write_text(text)
    with pytest.raises(ValueError, match=rf"settings\.ini.*{message}"):
        load_options(tmp_path / "settings.ini")


def test_an_unknown_key_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "settings.ini").write_text("[Ptychonyx]\nBatchSise = 3\n[Ptychi]\nA = b\n")
    assert load_options(tmp_path / "settings.ini") == DEFAULT_OPTIONS
    assert [record.getMessage().split("has ")[1] for record in caplog.records] == [
        "no setting batchsise; it is ignored."
    ]
