"""A solver's proof is whole, of two canvases, and its features are the same everywhere."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
import pytest
from solver_files import STRIDE_PX, make_solver_manifest

from ptychonyx.runtime.model.manifest.checks import FieldError
from ptychonyx.runtime.model.manifest.solver_proof import (
    MAX_SIDE_PX,
    SolverVerification,
    draw_test_features,
)


def proof(**changes: Any) -> SolverVerification:
    return dataclasses.replace(make_solver_manifest().verification, **changes)


def test_values_give_the_same_proof_again() -> None:
    again = SolverVerification.from_values(json.loads(json.dumps(proof().to_values())))
    for read, written in zip(again.changes, proof().changes, strict=True):
        np.testing.assert_array_equal(read, written)
    again.check(stride_px=STRIDE_PX)


def change(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    "changes",
    [
        (change(2, 32, 48),),
        (change(2, 32, 48), change(2, 32, 48)),
        (change(2, 32, 48), change(2, 48, 32)),
        (change(2, 32, 48), change(2, 34, 48)),
        (change(2, 32, 48), change(3, 64, 48)),
        (change(2, 32, 48), change(2, 64)),
        (change(2, 32, 48), change(2, 64, 48, dtype=np.float64)),
        (change(2, 32, 48), change(2, 64, 48) + np.float32(np.nan)),
    ],
)
def test_changes_that_prove_too_little_are_refused(changes: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(FieldError, match=r"`verification.changes`"):
        proof(changes=changes).check(stride_px=STRIDE_PX)


@pytest.mark.parametrize(("field", "value"), [("tolerance", 0), ("largest_difference", -1.0)])
def test_wrong_number_is_named(field: str, value: float) -> None:
    with pytest.raises(FieldError, match=f"`verification.{field}`"):
        proof(**{field: value}).check(stride_px=STRIDE_PX)


@pytest.mark.parametrize(
    "value",
    [3, [], [{}, {}], [{"shape": [2, MAX_SIDE_PX + 1, 48], "float32": "AAAA"}] * 2],
)
def test_values_that_are_no_arrays_are_refused(value: object) -> None:
    with pytest.raises(FieldError, match=r"`verification.changes"):
        SolverVerification.from_values(proof().to_values() | {"changes": value})


def test_test_features_never_change() -> None:
    """A file that was proven once stays provable: these bytes are part of the format."""
    features = draw_test_features(15, (32, 48))
    assert features.shape == (15, 32, 48)
    assert -1 <= features.min() < -0.99
    assert 0.99 < features.max() < 1
    digest = hashlib.sha256(features.astype("<f4").tobytes()).hexdigest()
    assert digest == "26fc5e9eb476793c85531b0c2c99dff2098b2fbbc875fc0f9e8fe998c15cd62c"
