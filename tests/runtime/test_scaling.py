"""Counts are cleaned and scaled in one place, whatever the file stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scaling import (
    READ_BATCH,
    counts_per_pattern,
    estimate_probe,
    input_scale,
    mean_pattern,
    probe_in_counts,
    read_amplitudes,
    read_counts,
    scale_from_counts,
)
from ptychonyx.runtime.scan import Scan

RNG = np.random.default_rng


def make_scan(patterns: Any, quantity: Any = "counts", **changes: Any) -> Scan:
    return Scan(patterns, quantity, np.zeros((len(patterns), 2)), **changes)


def draw_counts(num: int = 5, side: int = 8) -> NDArray[np.int64]:
    return RNG(0).poisson(50, (num, side, side))


def mask_at(*pixels: tuple[int, int], side: int = 8) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), np.bool_)
    for pixel in pixels:
        mask[pixel] = True
    return mask


def probe_with_power(power: float) -> NDArray[Any]:
    shape = RNG(0).normal(size=(3, 8, 8)) + 1j * RNG(1).normal(size=(3, 8, 8))
    return np.asarray(shape * np.sqrt(power / np.sum(np.abs(shape) ** 2)))


class CountingPatterns:
    """Patterns that remember how many were read, at once and in all."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype
        self.largest = self.total = 0

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, key: slice) -> NDArray[Any]:
        part = self._array[key]
        self.largest = max(self.largest, len(part))
        self.total += len(part)
        return part


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32, np.float32, float])
def test_both_readings_agree_for_both_quantities(dtype: Any) -> None:
    counts = draw_counts()
    as_counts = make_scan(counts.astype(dtype))
    as_amplitude = make_scan(np.sqrt(counts), "amplitude")
    for scan in (as_counts, as_amplitude):
        np.testing.assert_allclose(read_counts(scan, 1, 4), counts[1:4], rtol=3e-7)
        np.testing.assert_allclose(read_amplitudes(scan, 1, 4), np.sqrt(counts[1:4]), rtol=3e-7)
        assert read_counts(scan, 0, 2).dtype == read_amplitudes(scan, 0, 2).dtype == np.float32


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, -1.0, 65535.0])
def test_bad_pixels_count_nothing_whatever_they_hold(junk: float) -> None:
    counts = draw_counts().astype(float)
    counts[:, 2, 3] = 0
    dirty = counts.copy()
    dirty[:, 2, 3] = junk
    for quantity in ("counts", "amplitude"):
        scan = make_scan(dirty, quantity, bad_pixels=mask_at((2, 3)))
        clean = make_scan(counts, quantity)
        np.testing.assert_array_equal(read_counts(scan, 0, 5), read_counts(clean, 0, 5))
        np.testing.assert_array_equal(read_amplitudes(scan, 0, 5), read_amplitudes(clean, 0, 5))
        assert counts_per_pattern(scan) == counts_per_pattern(clean)


def test_the_files_own_array_is_not_changed() -> None:
    patterns = np.full((2, 8, 8), 3, dtype=np.float32)
    scan = make_scan(patterns, bad_pixels=mask_at((0, 0)))
    read_counts(scan, 0, 2)[...] = 7
    np.testing.assert_array_equal(patterns, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "Pattern 3 holds a value that is not a finite number"),
        (np.inf, "Pattern 3 holds a value that is not a finite number"),
        (1e300, "Pattern 3 holds a value that is not a finite number"),
        (-1.0, "Pattern 3 holds a negative value"),
    ],
)
@pytest.mark.parametrize("read", [read_counts, read_amplitudes])
def test_a_bad_value_is_named_by_its_pattern(value: float, message: str, read: Any) -> None:
    patterns = draw_counts().astype(float)
    patterns[3, 1, 1] = value
    with pytest.raises(ScanError, match=message):
        read(make_scan(patterns), 2, 5)
    assert len(read(make_scan(patterns), 0, 3)) == 3


def test_mean_counts_is_streamed_and_exact() -> None:
    num = 2 * READ_BATCH + 3
    patterns = CountingPatterns(np.full((num, 8, 8), 16_000_001, dtype=np.uint32))
    assert counts_per_pattern(make_scan(patterns)) == pytest.approx(64 * 16_000_001, rel=1e-7)
    assert patterns.largest <= READ_BATCH
    assert estimate_probe(make_scan(patterns)).shape == (1, 8, 8)
    assert patterns.largest <= READ_BATCH


def test_the_mean_pattern_reads_all_patterns_or_some_of_every_part() -> None:
    num = 1000
    counts = np.arange(num, dtype=np.float64)[:, None, None] * np.ones((1, 8, 8))
    dirty = counts.copy()
    dirty[:, 2, 3] = np.nan
    patterns = CountingPatterns(dirty)
    scan = make_scan(patterns, bad_pixels=mask_at((2, 3)))
    mean = mean_pattern(scan)
    assert mean[2, 3] == 0
    assert mean[0, 0] == (num - 1) / 2
    assert patterns.total == num
    some = mean_pattern(scan, num_patterns=100)
    assert some[0, 0] == pytest.approx((num - 1) / 2, rel=0.02)
    assert 50 <= patterns.total - num <= 100


@pytest.mark.parametrize("bad", [None, mask_at((4, 4))])
def test_patterns_without_light_are_refused(bad: NDArray[np.bool_] | None) -> None:
    patterns = np.zeros((3, 8, 8))
    patterns[:, 4, 4] = 0 if bad is None else 9
    with pytest.raises(ScanError, match="All diffraction patterns are zero"):
        counts_per_pattern(make_scan(patterns, bad_pixels=bad))


@pytest.mark.parametrize("dose", [0.01, 1.0, 1e6])
def test_input_scale_brings_any_dose_to_the_same_power(dose: float) -> None:
    scan = make_scan(draw_counts() * dose)
    scale = input_scale(scan)
    scaled = read_amplitudes(scan, 0, 5).astype(float) * scale
    assert np.mean(np.sum(scaled**2, axis=(1, 2))) == pytest.approx((8 / 2) ** 2, rel=1e-6)
    assert scale == scale_from_counts(8, counts_per_pattern(scan))


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.89, 1.0),
        (0.91, 0.91),
        (1.0, 1.0),
        (4.96, 4.96),
        (24.9, 24.9),
        (25.1, 1.0),
        (1e-12, 1.0),
        (1e9, 1.0),
    ],
)
def test_a_probe_is_scaled_only_if_its_unit_is_another(ratio: float, expected: float) -> None:
    probe = probe_with_power(ratio * 1000.0)
    scaled, found = probe_in_counts(probe, 1000.0)
    assert found == pytest.approx(ratio)
    assert scaled.dtype == np.complex64
    assert np.sum(np.abs(scaled) ** 2) / 1000.0 == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(np.angle(scaled), np.angle(probe), atol=1e-5)


@pytest.mark.parametrize("ratio", [1e-6, 0.91, 4.96, 24.9, 1e6])
def test_a_scale_that_is_not_kept_is_fitted_to_the_counts(ratio: float) -> None:
    probe = probe_with_power(ratio * 1000.0)
    scaled, found = probe_in_counts(probe, 1000.0, keep_scale=False)
    assert found == pytest.approx(ratio)
    assert np.sum(np.abs(scaled) ** 2) == pytest.approx(1000.0, rel=1e-5)
    np.testing.assert_allclose(scaled * np.sqrt(ratio), probe, rtol=1e-5)


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_a_probe_without_finite_power_is_refused(value: float) -> None:
    with pytest.raises(ScanError, match="a finite probe that is not zero is needed"):
        probe_in_counts(np.full((1, 8, 8), value, dtype=np.complex64), 1.0)


def test_an_estimated_probe_has_the_counts_and_the_size_of_the_beam() -> None:
    y, x = np.mgrid[-16:16, -16:16]
    truth = 30 * np.exp(-(y**2 + x**2) / (2 * 3.0**2))
    far = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(truth), norm="ortho"))
    estimated = estimate_probe(make_scan(np.abs(far[None]) ** 2))
    np.testing.assert_allclose(estimated[0], truth, atol=1e-3)
