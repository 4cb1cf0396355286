"""The residual of a network on its own data travels in its manifest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model_files import TinyManifest

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.manifest import read_manifest
from ptychonyx.runtime.model.manifest.own_residual import OwnResidual

OWN = OwnResidual(0.012, 0.002, 0.023, 0.002, num_patterns=64)


def test_it_comes_back_from_json(tiny_manifest: TinyManifest) -> None:
    document = tiny_manifest(own_residual=OWN).to_json()
    assert read_manifest(document).own_residual == OWN  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (OWN, 0.021),
        (OwnResidual(0.03, 0.01, None, None, num_patterns=8), 0.02),
        (OwnResidual(0.09, 0.10, 0.08, 0.10, num_patterns=8), 0.01),
    ],
    ids=["validation left more", "nothing validated", "less than noise"],
)
def test_the_larger_part_beyond_noise_counts(own: OwnResidual, expected: float) -> None:
    assert own.beyond_noise == pytest.approx(expected)


@pytest.mark.parametrize(
    "changes",
    [{"training": -0.1}, {"validation": None}, {"training_noise": "much"}, {"num_patterns": 0}],
)
def test_a_wrong_number_is_refused(tiny_manifest: TinyManifest, changes: dict[str, Any]) -> None:
    document = json.loads(tiny_manifest(own_residual=OWN).to_json())
    document["own_residual"] |= changes
    with pytest.raises(ManifestError, match=r"training|validation|num_patterns"):
        read_manifest(json.dumps(document))


def test_a_text_is_no_residual(tiny_manifest: TinyManifest) -> None:
    document = json.loads(tiny_manifest().to_json()) | {"own_residual": "small"}
    with pytest.raises(ManifestError, match="own_residual"):
        read_manifest(json.dumps(document))
