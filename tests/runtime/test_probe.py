"""The best probe that there is becomes the scan's, in the square root of counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.probe import choose_probe
from ptychonyx.runtime.scan import Scan

COUNTS = 256.0
SCAN = Scan(np.full((3, 8, 8), 4), "counts", np.zeros((3, 2)))


def flat(value: float) -> NDArray[np.complex64]:
    return np.full((2, 8, 8), value, np.complex64)


def test_the_first_probe_that_there_is_wins() -> None:
    chosen = choose_probe(
        SCAN, [("given", None), ("file", flat(3)), ("model", flat(5))], counts_per_pattern=COUNTS
    )
    assert chosen.source == "file"
    assert chosen.counts_ratio == pytest.approx(2 * 64 * 9 / COUNTS)


@pytest.mark.parametrize("value", [0.1, 1.3, 7.1, 30.0])
def test_a_probe_is_brought_to_the_counts_of_the_scan(value: float) -> None:
    chosen = choose_probe(SCAN, [("file", flat(value))], counts_per_pattern=COUNTS)
    assert chosen.array.dtype == np.complex64
    assert np.sum(np.abs(chosen.array) ** 2) == pytest.approx(COUNTS, rel=1e-5)


@pytest.mark.parametrize(("value", "ratio"), [(1.375, 0.9453125), (7.0, 24.5)])
def test_a_probe_in_counts_already_keeps_its_values(value: float, ratio: float) -> None:
    chosen = choose_probe(SCAN, [("file", flat(value))], counts_per_pattern=COUNTS)
    np.testing.assert_array_equal(chosen.array, flat(value))
    assert chosen.counts_ratio == ratio  # a beam of this power is possible: the object absorbs


def test_a_scale_that_is_not_to_be_kept_is_fitted_to_the_counts() -> None:
    chosen = choose_probe(SCAN, [("file", flat(4))], counts_per_pattern=COUNTS, keep_scale=False)
    assert chosen.counts_ratio == 8.0  # as it was found
    np.testing.assert_allclose(chosen.array, flat(2**0.5), rtol=1e-6)


def test_without_any_it_is_estimated() -> None:
    chosen = choose_probe(SCAN, [("file", None), ("model", None)], counts_per_pattern=COUNTS)
    assert chosen.source == "estimated"
    assert chosen.array.shape == (1, 8, 8)
    assert np.sum(np.abs(chosen.array) ** 2) == pytest.approx(COUNTS, rel=1e-5)
