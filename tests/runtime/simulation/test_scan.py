"""Simulated scans: the counts, the dose, the geometry, and that one rng decides everything."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.forward import predict_counts
from ptychonyx.runtime.simulation.scan import (
    MARGIN_PX,
    OBJECTS,
    POSITIONS,
    PROBES,
    SimulationOptions,
    diffract,
    draw_object,
    simulate_scan,
)

SMALL = SimulationOptions(num_patterns=12, window_px=32, step_px=4.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_positions_of_a_scan_lie_between_pixels() -> None:
    fractions = simulate_scan(SMALL, rng()).corners_px % 1
    assert np.ptp(fractions, axis=0).min() > 0.3


@pytest.mark.parametrize("probe_name", PROBES)
@pytest.mark.parametrize("dose", [1e3, 1e6])
def test_vacuum_carries_the_dose(probe_name: str, dose: float) -> None:
    spec = dataclasses.replace(
        SMALL,
        num_patterns=60,
        probe_name=probe_name,
        counts_per_pattern=dose,
        amplitude_range=(1, 1),
        phase_range_rad=(0, 0),
    )
    scan = simulate_scan(spec, rng())
    assert scan.probe is not None
    assert np.sum(np.abs(scan.probe.astype(np.complex128)) ** 2) == pytest.approx(dose, rel=1e-5)
    mean = np.asarray(scan.patterns[0:60], dtype=np.float64).sum(axis=(1, 2)).mean()
    assert mean == pytest.approx(dose, abs=5 * np.sqrt(dose / 60))


def test_noise_is_poisson() -> None:
    object_, probe = np.ones((40, 40), np.complex128), PROBES["focused"](32, 3) * 300
    corners_px = np.full((600, 2), 4.0)
    counts = diffract(object_, probe, corners_px, rng()).astype(np.float64)
    mean = predict_counts(object_, probe, corners_px[:1])[0]
    bright = mean > 5
    assert bright.sum() > 50
    deviation = (counts.mean(axis=0) - mean)[bright] / np.sqrt(mean[bright] / 600)
    assert np.abs(deviation).max() < 5
    assert np.mean(counts.var(axis=0)[bright] / mean[bright]) == pytest.approx(1, abs=0.02)


def test_batches_do_not_change_the_mean_counts() -> None:
    scan = simulate_scan(dataclasses.replace(SMALL, num_patterns=300), rng())
    object_, probe = truth(scan.object_), truth(scan.probe)
    whole = predict_counts(object_, probe, scan.corners_px)
    one = predict_counts(object_, probe, scan.corners_px[270:271])[0]
    np.testing.assert_allclose(whole[270], one, rtol=1e-9, atol=1e-9 * one.max())
    deviation = (np.asarray(scan.patterns[270:271])[0] - one) / np.sqrt(one + 1)
    assert np.abs(deviation).max() < 7


def test_dc_is_in_the_middle() -> None:
    scan = simulate_scan(dataclasses.replace(SMALL, probe_name="gaussian", num_modes=1), rng())
    mean = np.asarray(scan.patterns[0:12], dtype=np.float64).mean(axis=0)
    assert np.unravel_index(mean.argmax(), mean.shape) == (16, 16)


@pytest.mark.parametrize("object_name", OBJECTS)
@pytest.mark.parametrize("positions_name", POSITIONS)
def test_one_seed_decides_everything(object_name: str, positions_name: str) -> None:
    if object_name == "natural":
        pytest.importorskip("skimage", reason="scikit-image is not installed")
    spec = dataclasses.replace(SMALL, object_name=object_name, positions_name=positions_name)
    state = np.random.get_state(legacy=False)  # noqa: NPY002 (proves that it is left alone)
    first, again, other = (simulate_scan(spec, rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_equal(np.random.get_state(legacy=False), state)  # noqa: NPY002
    for name in ("patterns", "corners_px", "object_", "probe"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.patterns[0:12], other.patterns[0:12])


def test_one_material_absorbs_and_delays_in_proportion() -> None:
    spec = dataclasses.replace(SMALL, amplitude_range=(0.3, 0.9), is_one_material=True)
    object_ = draw_object(spec, (70, 110), rng())
    thickness = 0.5 - np.angle(object_)  # phase_range_rad is ±0.5
    assert thickness.min() == pytest.approx(0, abs=1e-9)
    assert thickness.max() == pytest.approx(1, abs=1e-9)
    expected = thickness * np.log(0.3 / 0.9)
    np.testing.assert_allclose(np.log(np.abs(object_) / 0.9), expected, atol=1e-12)


def test_canvas_holds_every_window_and_may_be_oblong_and_off_center() -> None:
    spec = dataclasses.replace(SMALL, margins_px=((8, 40), (25, 9)))
    scan = simulate_scan(spec, rng())
    assert scan.object_ is not None
    assert scan.frame is not None
    assert scan.frame.canvas_shape == scan.object_.shape
    assert scan.object_corner_px == (0.0, 0.0)
    np.testing.assert_allclose(scan.corners_px.min(axis=0), (8, 25))
    room = scan.object_.shape - (scan.corners_px.max(axis=0) + 32)
    assert np.all(room >= (40, 9))
    assert np.all(room < (41, 10))
    assert scan.frame.center_m[0] != scan.frame.center_m[1]


def test_a_given_probe_is_scaled_to_the_dose_and_used() -> None:
    given = (rng(5).normal(size=(2, 32, 32)) + 0j).astype(np.complex64)
    scan = simulate_scan(SMALL, rng(), probe=given)
    assert scan.probe is not None
    ratio = scan.probe / given
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=1e-5)
    assert np.sum(np.abs(scan.probe) ** 2) == pytest.approx(SMALL.counts_per_pattern, rel=1e-4)


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        (np.ones((1, 16, 16), np.complex64), r"shape \(1, 16, 16\), expected \(modes, 32, 32\)"),
        (np.ones((32, 32), np.complex64), r"shape \(32, 32\), expected \(modes, 32, 32\)"),
        (np.zeros((1, 32, 32), np.complex64), "total power of 0.0"),
        (np.full((1, 32, 32), np.nan, np.complex64), "total power of nan"),
    ],
)
def test_unfit_probes_are_refused(probe: NDArray[np.complex64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_scan(SMALL, rng(), probe=probe)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"object_name": "cat"}, "`object_name` is 'cat', expected one of: lines"),
        ({"probe_name": "cat"}, "`probe_name` is 'cat', expected one of: focused"),
        ({"positions_name": "cat"}, "`positions_name` is 'cat', expected one of: raster"),
        ({"num_patterns": 0}, "`num_patterns` is 0, expected a positive number"),
        ({"step_px": float("nan")}, "`step_px` is nan"),
        ({"window_px": 33}, "`window_px` is 33, expected an even number"),
        ({"counts_per_pattern": 5e9}, r"`counts_per_pattern` is 5e\+09.*uint32"),
        ({"counts_per_pattern": float("inf")}, "`counts_per_pattern` is inf"),
        ({"margins_px": ((8, 8), (7, 8))}, f"at least {MARGIN_PX} on each side"),
        (
            {"is_one_material": True, "amplitude_range": (0.0, 1.0)},
            r"`amplitude_range` is \(0.0, 1.0\), expected to start above 0",
        ),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def truth(array: NDArray[np.complex64] | None) -> NDArray[np.complex128]:
    assert array is not None
    return array.astype(np.complex128)
