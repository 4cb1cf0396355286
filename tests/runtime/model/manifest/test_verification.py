"""A model file's proof is whole and goes with its model, and says how exact each provider must be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_files import TinyManifest
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.manifest import PRECISIONS, read_manifest
from ptychonyx.runtime.model.manifest.checks import FieldError
from ptychonyx.runtime.model.manifest.verification import (
    ARRAYS,
    HIGHEST_TOLERANCES,
    LEAST_RESPONSE,
    TOLERANCES,
    Verification,
)
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


def zeros(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.zeros_like(array)


def one_value(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.full_like(array, 3)


def twice_the_same(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([array[0], array[0]])


def second_constant(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([array[0], one_value(array[1])])


def nearly_constant(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return one_value(array) + np.float32(1e-5) * array


@pytest.mark.parametrize(
    ("field", "spoil"),
    [
        *(
            (field, spoil)
            for field in ARRAYS
            for spoil in (zeros, one_value, twice_the_same, second_constant)
        ),
        ("object_patches", nearly_constant),
    ],
)
def test_a_proof_that_any_network_passes_is_refused(
    tiny_manifest: TinyManifest,
    field: str,
    spoil: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> None:
    proof = tiny_manifest().verification
    changes: dict[str, Any] = {field: spoil(getattr(proof, field))}
    vain = dataclasses.replace(proof, **changes)
    document = json.loads(tiny_manifest().to_json()) | {"verification": vain.to_values()}
    with pytest.raises(
        ManifestError, match=rf"`verification.{field}`.* (constant|alike) in sample"
    ):
        read_manifest(json.dumps(document))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_file_cannot_allow_itself_any_difference(
    tiny_manifest: TinyManifest, precision: str
) -> None:
    highest = HIGHEST_TOLERANCES[precision]
    document = json.loads(tiny_manifest().to_json()) | {"precision": precision}
    document["verification"]["tolerance"] = highest
    read_manifest(json.dumps(document))
    for tolerance in (1.01 * highest, 1e9):
        document["verification"]["tolerance"] = tolerance
        with pytest.raises(
            ManifestError, match=rf"`verification.tolerance`.*at most .* in {precision}"
        ):
            read_manifest(json.dumps(document))


def test_every_precision_has_a_bound_far_below_the_numbers_of_an_object() -> None:
    assert HIGHEST_TOLERANCES.keys() == set(PRECISIONS)
    assert max(HIGHEST_TOLERANCES.values()) < 0.5
    assert HIGHEST_TOLERANCES["float32"] < LEAST_RESPONSE
