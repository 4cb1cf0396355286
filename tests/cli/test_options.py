"""What the command line offers: all that the library knows, in words that are checked at once."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import get_args

import pytest
from typer.main import get_group
from typer.testing import CliRunner

from ptychonyx.cli import app
from ptychonyx.cli.options import words
from ptychonyx.cli.options.shared import reconstruction_options
from ptychonyx.cli.options.solving import FLAGS, solving_options
from ptychonyx.export.importers.head import QUANTITIES as FOREIGN_QUANTITIES
from ptychonyx.export.importers.tail import OUTPUTS
from ptychonyx.runtime.errors import AxisError
from ptychonyx.runtime.formats import POSITION_ORIGINS, WRITERS
from ptychonyx.runtime.model.manifest import PRECISIONS
from ptychonyx.runtime.model.providers import provider_names
from ptychonyx.runtime.reconstruction.options import (
    DEFAULT_OPTIONS,
    PATCH_WEIGHTS,
    SUBPIXEL_METHODS,
    ReconstructionOptions,
)
from ptychonyx.runtime.reconstruction.recipe import PROBE_SCALES
from ptychonyx.runtime.reconstruction.settings import INI_KEYS, SOLVING_KEYS
from ptychonyx.runtime.scan import QUANTITIES
from ptychonyx.runtime.simulation.scan import OBJECTS, POSITIONS, PROBES
from ptychonyx.runtime.solving.options import FREEDOMS, NOISES, SolvingOptions
from ptychonyx.training.backends import BACKENDS
from ptychonyx.training.config.config import LOSSES
from ptychonyx.training.distributed.workers import STRATEGIES

FIELDS = [field.name for field in dataclasses.fields(ReconstructionOptions)]
NOT_OFFERED = {"residual_patterns", "provider", "seed"}
"""Of the options of passes: networks have the first two, too; of the third, any will do."""
SOLVING_FIELDS = [
    *(each.name for each in dataclasses.fields(SolvingOptions) if each.name not in NOT_OFFERED),
    "refine_passes",
]
THREE = ("reconstruct", "reconstruct-folder", "reconstruct-many")


def invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    ("listed", "known"),
    [
        (tuple(words.Provider), provider_names()),
        (get_args(words.PatchWeights), PATCH_WEIGHTS),
        (get_args(words.Subpixel), SUBPIXEL_METHODS),
        (get_args(words.Noise), NOISES),
        (get_args(words.PositionFreedom), FREEDOMS),
        (get_args(words.ProbeScale), tuple(PROBE_SCALES)),
        (get_args(words.Quantity), QUANTITIES),
        (get_args(words.PatternAxis), AxisError.CHOICES),
        (get_args(words.Origin), tuple(POSITION_ORIGINS)),
        (get_args(words.ScanFormat), tuple(WRITERS)),
        (get_args(words.Backend), tuple(BACKENDS)),
        (get_args(words.Loss), LOSSES),
        (("float32", *get_args(words.DerivedPrecision)), PRECISIONS),
        (get_args(words.ForeignInput), FOREIGN_QUANTITIES),
        (get_args(words.ForeignOutput), tuple(OUTPUTS)),
        (get_args(words.Object), tuple(OBJECTS)),
        (get_args(words.SimulatedProbe), tuple(PROBES)),
        (get_args(words.Positions), tuple(POSITIONS)),
    ],
)
def test_words_are_those_that_the_library_knows(
    listed: tuple[str, ...], known: tuple[str, ...]
) -> None:
    assert listed == known


def test_strategies_are_those_of_both_backends() -> None:
    assert set(get_args(words.Strategy)) == {word for each in STRATEGIES.values() for word in each}


@pytest.mark.parametrize("command", THREE)
def test_every_option_of_a_reconstruction_is_in_all_three_commands(command: str) -> None:
    text = invoke(command, "--help")
    for name in FIELDS + SOLVING_FIELDS:
        assert FLAGS.get(name, f"--{name.replace('_', '-')}") in text


def test_one_list_of_options() -> None:
    assert list(inspect.signature(reconstruction_options).parameters) == FIELDS
    assert list(INI_KEYS) == FIELDS
    assert list(SOLVING_KEYS) == SOLVING_FIELDS
    flags = [FLAGS.get(name, f"--{name.replace('_', '-')}") for name in SOLVING_FIELDS]
    given = inspect.signature(solving_options).parameters
    assert [f"--{name.replace('_', '-')}" for name in given] == flags


def test_defaults_shown_are_those_of_the_library() -> None:
    text = " ".join(invoke("reconstruct", "--help").split())
    shown = re.findall(r"--([a-z-]+)[^-]*?\[default: \((\w+)\)\]", text.replace("│", ""))
    expected = {
        name.replace("_", "-"): str(value)
        for name, value in dataclasses.asdict(DEFAULT_OPTIONS).items()
        if not isinstance(value, bool)
    }
    expected |= {"passes": "auto", "noise": "amplitude", "probe-scale": "keep"}
    assert dict(shown) == expected


@pytest.mark.parametrize("command", [*get_group(app).commands])
def test_help_has_an_example_and_no_type_behind_flags(command: str) -> None:
    text = invoke(command, "--help")
    assert "Example:" in text
    assert "<bool>" not in text
    assert "--verbose" in text


def test_a_wrong_word_is_refused_with_those_that_exist() -> None:
    text = invoke("verify", "model.onnx", "--provider", "abacus", code=2)
    assert "tensorrt" in text


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"ptychonyx \d+\.\d+\.\d+\n", invoke("--version"))
    assert "--install-completion" in invoke("--help")
