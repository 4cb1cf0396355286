"""Amplitudes are the same from memory and from the file, and bad pixels say nothing."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from solver_oracle import Exact

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.physics import measured as module
from ptychonyx.runtime.solving.physics.measured import read_measured
from ptychonyx.runtime.solving.physics.sweep import sweep

SIDE = 8


def make_scan(num: int = 300, **changes: Any) -> Scan:
    counts = np.random.default_rng(0).poisson(20, (num, SIDE, SIDE))
    return dataclasses.replace(Scan(counts, "counts", np.zeros((num, 2))), **changes)


def keep(num: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only so many patterns fit the memory."""
    monkeypatch.setattr(module, "KEPT_BYTES", num * 4 * side**2 + 7)


@pytest.mark.parametrize("num_kept", [0, 5, 260, 299, 300])
def test_kept_patterns_and_patterns_read_again_are_the_same(
    num_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, indexes = make_scan(), np.arange(300)
    whole = read_measured(scan, indexes)
    assert len(whole.kept) == 300
    keep(num_kept, SIDE, monkeypatch)
    part = read_measured(scan, indexes)
    assert len(part.kept) == num_kept
    np.testing.assert_array_equal(part.kept, whole.kept[:num_kept])
    np.testing.assert_array_equal(part.counts, whole.counts)
    for chosen in (np.array([299, 4, 5, 4, 270]), np.arange(300)[::-1], np.array([0])):
        np.testing.assert_array_equal(part.amplitudes(chosen), whole.amplitudes(chosen))


def test_amplitudes_are_roots_of_counts_with_dc_first() -> None:
    scan = make_scan(5)
    measured = read_measured(scan, np.arange(5))
    expected = np.sqrt(np.fft.ifftshift(scan.patterns[:], axes=(1, 2)))
    np.testing.assert_allclose(measured.amplitudes(np.arange(5)), expected, rtol=1e-6)
    assert measured.amplitudes(np.arange(2)).dtype == np.float32
    np.testing.assert_allclose(measured.counts, scan.patterns[:].sum(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("num_kept", [2, 60])
def test_some_patterns_of_a_scan_are_counted_from_the_first_of_them(
    num_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, indexes = make_scan(), np.arange(7, 300, 5)
    whole = read_measured(scan, np.arange(300))
    keep(num_kept, SIDE, monkeypatch)
    some = read_measured(scan, indexes)
    chosen = np.array([3, 0, 58, 20])
    np.testing.assert_array_equal(some.amplitudes(chosen), whole.amplitudes(indexes[chosen]))
    np.testing.assert_array_equal(some.counts, whole.counts[indexes])


def test_what_is_given_out_is_a_copy() -> None:
    measured = read_measured(make_scan(5), np.arange(5))
    before = measured.kept.copy()
    measured.amplitudes(np.arange(5))[...] = 0
    np.testing.assert_array_equal(measured.kept, before)


def bad_at(*pixels: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    for pixel in pixels:
        mask[pixel] = True
    return mask


def test_bad_pixels_are_zero_count_nothing_and_lie_where_the_patterns_have_them() -> None:
    clean = make_scan(5)
    patterns = clean.patterns[:].astype(float)
    patterns[:, 4, 5] = np.nan
    scan = dataclasses.replace(clean, patterns=patterns, bad_pixels=bad_at((4, 5)))
    measured = read_measured(scan, np.arange(5))
    assert measured.good is not None
    assert measured.good.dtype == np.float32
    assert np.argwhere(measured.good == 0).tolist() == [[0, 1]]  # DC of the scan is at [4, 4]
    assert (measured.kept[:, 0, 1] == 0).all()
    expected = clean.patterns[:].sum(axis=(1, 2)) - clean.patterns[:][:, 4, 5]
    np.testing.assert_allclose(measured.counts, expected, rtol=1e-6)


def test_pixels_to_be_fitted_are_those_that_are_good_and_not_held_back() -> None:
    plain = read_measured(make_scan(5), np.arange(5))
    chosen = np.array([3, 1])
    assert plain.good_of(chosen) is None
    masked = read_measured(make_scan(5, bad_pixels=bad_at((4, 4))), np.arange(5))
    assert masked.good_of(chosen) is masked.good
    fitted = np.random.default_rng(0).random((5, SIDE, SIDE)) > 0.3
    held = dataclasses.replace(plain, fitted=fitted)
    np.testing.assert_array_equal(held.good_of(chosen), fitted[chosen])
    both = dataclasses.replace(masked, fitted=fitted).good_of(chosen)
    assert both is not None
    assert both.dtype == np.float32
    assert (both[:, 0, 0] == 0).all()
    np.testing.assert_array_equal(both.reshape(2, -1)[:, 1:], fitted[chosen].reshape(2, -1)[:, 1:])


@pytest.mark.parametrize("bad", [None, bad_at((4, 4))])
def test_patterns_without_light_are_refused(bad: NDArray[np.bool_] | None) -> None:
    patterns = np.zeros((3, SIDE, SIDE))
    patterns[:, 4, 4] = 0 if bad is None else 9
    with pytest.raises(ScanError, match="All diffraction patterns are zero"):
        read_measured(make_scan(3, patterns=patterns, bad_pixels=bad), np.arange(3))


def test_a_pattern_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = np.ones((300, SIDE, SIDE))
    patterns[280, 1, 1] = -1
    for num_kept in (300, 10):
        keep(num_kept, SIDE, monkeypatch)
        with pytest.raises(ScanError, match="Pattern 280 holds a negative value"):
            read_measured(make_scan(patterns=patterns), np.arange(300))


def test_a_pass_does_not_depend_on_what_is_kept(
    exact: Exact, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = []
    for num_kept in (40, 7):
        keep(num_kept, 32, monkeypatch)
        problem = exact.problem()
        assert len(problem.measured.kept) == num_kept
        state = exact.state(np.ones_like(exact.object_))
        objects.append(sweep(problem, state, rng=np.random.default_rng(0), pool=pool).object_)
    np.testing.assert_array_equal(objects[0], objects[1])
