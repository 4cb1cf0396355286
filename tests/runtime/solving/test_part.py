"""A part of a scan is its middle, and its canvas lies where the whole one has it."""

from __future__ import annotations

import numpy as np
import pytest
from solver_oracle import make_exact

from ptychonyx.runtime.solving.part import middle_part
from ptychonyx.runtime.solving.physics import measured as measured_module
from ptychonyx.runtime.solving.physics.sweep import Problem


@pytest.fixture
def problem() -> Problem:
    return make_exact(81).problem()


def test_the_middle_is_nearest_to_the_median(problem: Problem) -> None:
    (near, _), _ = middle_part(problem.measured, problem.placement, 20)
    corners_px = problem.placement.whole_px
    distances = np.linalg.norm(corners_px - np.median(corners_px, axis=0), axis=1)
    others = np.setdiff1d(np.arange(81), near.indexes)
    assert len(near.indexes) == 20
    assert (np.diff(near.indexes) > 0).all()
    assert distances[near.indexes].max() <= distances[others].min()


def test_a_part_cuts_the_same_windows_from_its_own_canvas(problem: Problem) -> None:
    (near, placement), canvas = middle_part(problem.measured, problem.placement, 20)
    image = np.random.default_rng(0).normal(size=problem.placement.shape).astype(np.complex64)
    whole = problem.placement.cut(image, near.indexes)
    np.testing.assert_array_equal(placement.cut(image[canvas], np.arange(20)), whole)
    np.testing.assert_allclose(
        placement.fractions_px, problem.placement.fractions_px[near.indexes], atol=1e-12
    )
    amplitudes = problem.measured.amplitudes(near.indexes)
    np.testing.assert_array_equal(near.amplitudes(np.arange(20)), amplitudes)
    np.testing.assert_array_equal(near.counts, problem.measured.counts[near.indexes])


def test_all_patterns_are_their_own_part(problem: Problem) -> None:
    (near, placement), canvas = middle_part(problem.measured, problem.placement, 1000)
    assert near is problem.measured
    assert placement is problem.placement
    assert np.ones(placement.shape)[canvas].shape == placement.shape


def test_a_part_has_no_more_than_memory_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_module, "KEPT_BYTES", 10 * 4 * 32**2)
    few = make_exact(81).problem()
    (near, _), _ = middle_part(few.measured, few.placement, 20)
    assert len(near.indexes) == 10
    assert len(near.kept) == 10
