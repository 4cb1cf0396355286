"""A solver's manifest survives JSON, keeps to its kind, and nothing wrong in it does."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from model_files import TinyManifest
from solver_files import make_solver_manifest

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.manifest import Manifest, SolverManifest, read_manifest
from ptychonyx.runtime.model.manifest.solver import RULES


def document(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(make_solver_manifest().to_json())
    return values | changes


def test_json_round_trip_keeps_every_bit() -> None:
    manifest = make_solver_manifest(parent_digest="ab")
    again = read_manifest(manifest.to_json())
    assert isinstance(again, SolverManifest)
    for read, written in zip(
        again.verification.changes, manifest.verification.changes, strict=True
    ):
        np.testing.assert_array_equal(read, written)
    for field in dataclasses.fields(SolverManifest):
        if field.name != "verification":
            assert getattr(again, field.name) == getattr(manifest, field.name)
    assert again.to_json() == manifest.to_json()


def test_a_manifest_says_its_kind_and_holds_nothing_of_the_other(
    tiny_manifest: TinyManifest,
) -> None:
    patches = json.loads(tiny_manifest().to_json())
    assert (document()["kind"], patches["kind"]) == ("solver", "patches")
    assert {"window_px", "probe", "trained_scale"} <= patches.keys() - document().keys()
    assert {"trained_passes", "scores"} <= document().keys() - patches.keys()


def test_a_manifest_without_a_kind_is_of_patches(tiny_manifest: TinyManifest) -> None:
    values = json.loads(tiny_manifest().to_json())
    del values["kind"]
    assert isinstance(read_manifest(json.dumps(values)), Manifest)


@pytest.mark.parametrize("kind", ["pictures", "x" * 500])
def test_a_kind_that_is_not_known_is_refused(kind: str) -> None:
    with pytest.raises(ManifestError, match="patches, solver; install a newer Ptychonyx") as caught:
        read_manifest(json.dumps(document(kind=kind)))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "field",
    [
        field.name
        for field in dataclasses.fields(SolverManifest)
        if field.default is dataclasses.MISSING
    ],
)
def test_missing_field_is_named(field: str) -> None:
    values = document()
    del values[field]
    with pytest.raises(ManifestError, match=f"`{field}`"):
        read_manifest(json.dumps(values))


WRONG = [
    ("kind", 5),
    ("name", ""),
    ("backend", "jax"),
    ("feature_version", 0),
    ("num_features", 257),
    ("num_features", 3.0),
    ("stride_px", 0),
    ("trained_passes", -1),
    ("trained_passes", True),
    ("scores", [0.9]),
    ("verification", None),
    ("verification", {}),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(ManifestError, match=f"`{field}"):
        read_manifest(json.dumps(document(**{field: value})))


def test_every_field_has_a_rule() -> None:
    assert RULES.keys() == {field.name for field in dataclasses.fields(SolverManifest)}
