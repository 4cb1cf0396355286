"""Simulated scans: the counts, the dose, the geometry, and that one rng decides everything."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.simulation.scan import (
    MARGIN_PX,
    OBJECTS,
    POSITIONS,
    PROBES,
    SimulationOptions,
    diffract,
    draw_object,
    predict_counts,
    simulate_scan,
)
from ptychonyx.runtime.stitching.mosaic import cut_patches

SMALL = SimulationOptions(num_patterns=12, window_px=32, step_px=4.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plane_wave(shape: tuple[int, int], f: tuple[float, float]) -> NDArray[np.complex128]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(np.exp(2j * np.pi * (f[0] * y + f[1] * x)))


def naive_counts(
    patch: NDArray[np.complex128], probe: NDArray[np.complex128]
) -> NDArray[np.float64]:
    """Write the definition out: one sum over pixels for each detector pixel, DC at the middle."""
    side = patch.shape[0]
    y = np.arange(side)
    counts = np.zeros((side, side))
    for mode in probe:
        for row in range(side):
            for column in range(side):
                along_y = np.exp(-2j * np.pi * (row - side // 2) * y / side)
                along_x = np.exp(-2j * np.pi * (column - side // 2) * y / side)
                counts[row, column] += abs(along_y @ (mode * patch) @ along_x / side) ** 2
    return counts


def test_counts_match_a_naive_loop() -> None:
    object_ = rng(1).normal(size=(20, 26)) + 1j * rng(2).normal(size=(20, 26))
    probe = rng(3).normal(size=(2, 12, 12)) + 1j * rng(4).normal(size=(2, 12, 12))
    corners_px = np.array([[0.0, 0.0], [3.0, 14.0], [8.0, 5.0]])
    found = predict_counts(object_, probe, corners_px)
    for counts, (y, x) in zip(found, corners_px.astype(int), strict=True):
        expected = naive_counts(object_[y : y + 12, x : x + 12], probe)
        np.testing.assert_allclose(counts, expected, rtol=1e-10, atol=1e-10)


def test_fractional_corners_match_a_plane_wave_evaluated_there() -> None:
    corners_px = rng().uniform(10, 30, (40, 2))
    for f, tolerance in (((0.1, -0.05), 3e-3), ((0.0, 0.25), 4e-3), ((0.3, 0.2), 5e-3)):
        found = cut_patches(plane_wave((80, 80), f), corners_px, 32)
        here = corners_px[:, :, None] + np.arange(32)
        exact = np.exp(2j * np.pi * (f[0] * here[:, 0, :, None] + f[1] * here[:, 1, None, :]))
        assert np.sqrt(np.mean(np.abs(found - exact) ** 2)) < tolerance


@pytest.mark.parametrize("object_name", OBJECTS)
def test_fractional_corners_match_a_fourier_shift_of_the_drawn_object(object_name: str) -> None:
    needs_photographs(object_name)
    object_ = draw_object(SimulationOptions(object_name=object_name), (128, 128), rng())
    mirrored = np.fft.fft2(np.pad(object_, ((0, 128), (0, 128)), mode="symmetric"))
    k = np.fft.fftfreq(256)
    for y, x in rng(1).uniform(30, 60, (5, 2)):
        shift = np.exp(2j * np.pi * (k[:, None] * y + k[None] * x))
        exact = np.fft.ifft2(mirrored * shift)[:32, :32]
        found = cut_patches(object_, np.array([[y, x]]), 32)[0]
        assert np.linalg.norm(found - exact) < 4e-3 * np.linalg.norm(exact)


def test_fractional_corners_are_not_rounded() -> None:
    scan = simulate_scan(SMALL, rng())
    fractions = scan.corners_px % 1
    assert np.ptp(fractions, axis=0).min() > 0.3
    object_, probe = draw_object(SMALL, (60, 60), rng()), PROBES["focused"](32, 1)
    at, beside = predict_counts(object_, probe, np.array([[10.0, 10.0], [10.0, 10.5]]))
    assert np.abs(at - beside).max() > 0.01 * at.max()


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
    object_, probe = np.ones((40, 40)) + 0j, PROBES["focused"](32, 3) * 300
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
    needs_photographs(object_name)
    spec = dataclasses.replace(SMALL, object_name=object_name, positions_name=positions_name)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 (proves that it is left alone)
    first, again, other = (simulate_scan(spec, rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    for name in ("patterns", "corners_px", "object_", "probe"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.patterns[0:12], other.patterns[0:12])


@pytest.mark.parametrize("object_name", OBJECTS)
def test_objects_keep_their_ranges_and_have_structure(object_name: str) -> None:
    needs_photographs(object_name)
    spec = SimulationOptions(
        object_name=object_name, amplitude_range=(0.3, 0.9), phase_range_rad=(-1.0, 0.5)
    )
    object_ = draw_object(spec, (70, 110), rng())
    assert object_.shape == (70, 110)
    for image, (low, high) in (
        (np.abs(object_), spec.amplitude_range),
        (np.angle(object_), spec.phase_range_rad),
    ):
        assert low - 1e-9 <= image.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < image.max() <= high + 1e-9
        assert image.std() > 0.05 * (high - low)
    amplitude, phase = np.abs(object_).ravel(), np.angle(object_).ravel()
    assert abs(np.corrcoef(amplitude, phase)[0, 1]) < 0.9


def test_one_material_absorbs_and_delays_in_proportion() -> None:
    spec = dataclasses.replace(SMALL, amplitude_range=(0.3, 0.9), is_one_material=True)
    object_ = draw_object(spec, (70, 110), rng())
    thickness = 0.5 - np.angle(object_)  # phase_range_rad is ±0.5
    assert thickness.min() == pytest.approx(0, abs=1e-9)
    assert thickness.max() == pytest.approx(1, abs=1e-9)
    expected = thickness * np.log(0.3 / 0.9)
    np.testing.assert_allclose(np.log(np.abs(object_) / 0.9), expected, atol=1e-12)


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_have_the_mean_step(name: str) -> None:
    positions_px = POSITIONS[name](400, 5.0, rng())
    assert positions_px.shape == (400, 2)
    inner = np.all(np.abs(positions_px - np.median(positions_px, axis=0)) < 30, axis=1).sum()
    assert inner == pytest.approx(60**2 / 5.0**2, rel=0.25)


@pytest.mark.parametrize("name", PROBES)
def test_probe_modes_are_distinct_and_fall_in_power(name: str) -> None:
    probe = PROBES[name](64, 3)
    gram = np.abs(np.einsum("ayx,byx->ab", probe.conj(), probe))
    power = np.diag(gram)
    np.testing.assert_allclose(power / power.sum(), [9 / 13, 3 / 13, 1 / 13], rtol=1e-6)
    assert np.all(gram - np.diag(power) < 0.01 * power.max())


def test_focused_probe_is_curved_and_half_a_window_wide() -> None:
    probe = PROBES["focused"](64, 3)
    power = np.sum(np.abs(probe) ** 2, axis=0)
    assert 0.75 < power[16:48, 16:48].sum() / power.sum() < 0.95
    phase = np.unwrap(np.angle(probe[0, 32, 22:43]))
    assert np.abs(np.diff(phase, 2)).mean() > 0.01


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


def test_too_many_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="`num_modes` is 6, expected at most 5"):
        simulate_scan(dataclasses.replace(SMALL, num_modes=6), rng())


def test_natural_without_scikit_image_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_skimage(
        name: str,
        globals_: Mapping[str, object] | None = None,
        locals_: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if name.split(".")[0] == "skimage":
            raise ImportError(name)
        return imported(name, globals_, locals_, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without_skimage)
    with pytest.raises(RuntimeError, match=r"ptychonyx\[compare\]"):
        OBJECTS["natural"]((16, 16), rng())


def test_scikit_image_photographs_need_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_photographs("natural")
    import socket

    def refuse(*arguments: object) -> None:
        raise AssertionError("a simulation went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for seed in range(12):
        assert OBJECTS["natural"]((600, 700), rng(seed)).shape == (600, 700)


def needs_photographs(object_name: str) -> None:
    if object_name == "natural":
        pytest.importorskip("skimage", reason="scikit-image is not installed")


def truth(array: NDArray[np.complex64] | None) -> NDArray[np.complex128]:
    assert array is not None
    return array.astype(np.complex128)
