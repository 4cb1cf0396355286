"""Our section of a settings file of Ptychodus becomes the options of a reconstruction."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ptychonyx.runtime.reconstruction.recipe import DEFAULT_RECIPE
from ptychonyx.runtime.reconstruction.settings import load_recipe, load_turn
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.turns import Turn


def test_all_settings_are_read(tmp_path: Path) -> None:
    text = "Provider=cpu\nBatchSize=auto\nInputScale=trained\nPatchWeights=hann\n"
    more = "SubpixelMethod=nearest\nAlignPatchPhase=yes\nResidualPatterns=3\nUseSeparateProcess=1\n"
    (tmp_path / "settings.ini").write_text(f"[Ptychonyx]\n{text}{more}")
    options = load_recipe(tmp_path / "settings.ini").network
    assert dataclasses.astuple(options) == ("cpu", "auto", "trained", "hann", "nearest", True, 3)


def test_all_settings_of_passes_are_read(tmp_path: Path) -> None:
    text = "Passes=7\nBudgetInSeconds=2.5\nNoise=poisson\nRefineProbe=yes\nProbeModes=2\n"
    more = "ProbeScale=fit\nRefinePositions=affine\nRefinePasses=auto\nResidualPatterns=3\n"
    more += "RefineIntensity=yes\nRefineBackground=on\n"
    (tmp_path / "settings.ini").write_text(f"[Ptychonyx]\n{text}{more}")
    recipe = load_recipe(tmp_path / "settings.ini")
    assert recipe.solving == SolvingOptions(
        passes=7,
        budget_s=2.5,
        noise="poisson",
        refine_probe=True,
        refine_positions="affine",
        refine_intensity=True,
        refine_background=True,
        num_modes=2,
        keep_probe_scale=False,
        residual_patterns=3,
    )
    assert recipe.refine_passes == "auto"


def test_what_ptychodus_writes_for_nothing_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "settings.ini"
    text = "Passes = auto\nBudgetInSeconds = \nProbeModes =\nRefineProbe = False\n"
    path.write_text(f"[Ptychonyx]\n{text}SolverNetwork = .\n")
    assert load_recipe(path) == DEFAULT_RECIPE
    assert caplog.records == []


@pytest.mark.parametrize("text", ["", "[Ptychi]\nBatchSize = 3\n", "[DEFAULT]\nBatchSize = 3\n"])
def test_without_our_section_nothing_changes(text: str, tmp_path: Path) -> None:
    (tmp_path / "settings.ini").write_text(text)
    assert load_recipe(tmp_path / "settings.ini") == DEFAULT_RECIPE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Ptychonyx]\nProvider = npu", "Provider is wrong: .*choose one of auto, cpu"),
        ("[Ptychonyx]\nBatchSize = many", "BatchSize is wrong: `batch_size` is 'many'"),
        ("[Ptychonyx]\nPasses = some", "Passes is wrong: `passes` is 'some'; give a number"),
        ("[Ptychonyx]\nPasses = 0", "Passes is wrong: `passes` is 0"),
        ("[Ptychonyx]\nRefinePasses = 0", "RefinePasses is wrong: `refine_passes` is 0"),
        ("[Ptychonyx]\nBudgetInSeconds = -1", "BudgetInSeconds is wrong: `budget_s` is -1"),
        ("[Ptychonyx]\nProbeScale = free", "ProbeScale is wrong: .*give keep or fit"),
        ("[Ptychonyx]\nRefineProbe = maybe", "RefineProbe is wrong: .*give true or false"),
        ("[Ptychonyx]\nProbeModes = 9", "ProbeModes is wrong: `num_modes` is 9; give 1 to 8"),
        ("[Ptychonyx]\nNoise = loud", "Noise is wrong: `noise` is 'loud'"),
        ("BatchSize = 3", "cannot be read as a settings file"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "settings.ini").write_text(text)
    with pytest.raises(ValueError, match=rf"settings\.ini.*{message}"):
        load_recipe(tmp_path / "settings.ini")


def test_an_unknown_key_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "settings.ini").write_text("[Ptychonyx]\nBatchSise = 3\n[Ptychi]\nA = b\n")
    assert load_recipe(tmp_path / "settings.ini") == DEFAULT_RECIPE
    assert [record.getMessage().split("has ")[1] for record in caplog.records] == [
        "no setting batchsise; it is ignored."
    ]


def test_turns_are_read_and_no_setting_of_a_recipe(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "settings.ini"
    text = "FlipPatterns=ty\nDirectBeamPixel=0,5\nSwapPositions=yes\nNegatePositions=x\n"
    path.write_text(f"[Ptychonyx]\n{text}")
    assert load_turn(path) == Turn((0, 5), "ty", swap_positions=True, negate_positions="x")
    assert load_recipe(path) == DEFAULT_RECIPE
    assert caplog.records == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FlipPatterns = z", "FlipPatterns is wrong: `flip` is 'z'"),
        ("DirectBeamPixel = 7", "DirectBeamPixel is wrong: `dc` is '7'; give a pixel as Y,X"),
        ("SwapPositions = maybe", "SwapPositions is 'maybe'; give true or false"),
    ],
)
def test_a_wrong_turn_is_named_by_its_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "settings.ini").write_text(f"[Ptychonyx]\n{text}\n")
    with pytest.raises(ValueError, match=rf"settings\.ini: {message}"):
        load_turn(tmp_path / "settings.ini")
