"""A model file's proof is whole and goes with its model, and says how exact each provider must be."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from model_files import TinyManifest

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.manifest import read_manifest
from ptychonyx.runtime.model.manifest.checks import FieldError
from ptychonyx.runtime.model.manifest.verification import TOLERANCES, Verification
from ptychonyx.runtime.model.providers import PROVIDERS


def test_values_give_the_same_verification_again(tiny_manifest: TinyManifest) -> None:
    proof = tiny_manifest().verification
    values = json.loads(json.dumps(proof.to_values()))
    again = Verification.from_values(values, longest_side=8)
    for field in dataclasses.fields(Verification):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(proof, field.name))
    with pytest.raises(FieldError, match=r"`verification.amplitude.shape`"):
        Verification.from_values(values, longest_side=7)


def test_arrays_of_other_sizes_are_named(tiny_manifest: TinyManifest) -> None:
    proof = tiny_manifest().verification
    proof.check(num_channels=1, window_px=8, patch_px=4)
    with pytest.raises(FieldError, match=r"`verification.amplitude` is float32 of shape"):
        proof.check(num_channels=1, window_px=9, patch_px=4)
    with pytest.raises(FieldError, match=r"`verification.object_patches`.*\(2, 1, 5, 5, 2\)"):
        proof.check(num_channels=1, window_px=8, patch_px=5)


@pytest.mark.parametrize(
    ("field", "value"),
    [("scale", 0), ("tolerance", -1.0), ("tolerance", None), ("largest_difference", "none")],
)
def test_wrong_verification_number_is_named(
    tiny_manifest: TinyManifest, field: str, value: object
) -> None:
    document = json.loads(tiny_manifest().to_json())
    document["verification"][field] = value
    with pytest.raises(ManifestError, match=f"`verification.{field}`"):
        read_manifest(json.dumps(document))


def test_every_provider_has_a_tolerance() -> None:
    assert TOLERANCES.keys() == PROVIDERS.keys()
