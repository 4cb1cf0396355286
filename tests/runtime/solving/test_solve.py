"""A scan goes in and its object comes out, whatever it starts from and however it ends."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import (
    Product,
    Scan,
    SimulationOptions,
    SolvingOptions,
    compare_objects,
    load_product,
    save_product,
    simulate_scan,
    solve,
)
from ptychonyx.runtime.errors import NotFiniteError
from ptychonyx.runtime.solving.physics import measured
from ptychonyx.runtime.stitching.patches import canvas_for

SIDE = 32


def make_scan(object_name: str = "blurred_lines", **changes: Any) -> Scan:
    options = {"num_patterns": 64, "window_px": SIDE, "step_px": 3, "num_modes": 2} | changes
    return simulate_scan(SimulationOptions(object_name, **options), np.random.default_rng(0))


@pytest.fixture(scope="module")
def scan() -> Scan:
    return make_scan()


@pytest.fixture(scope="module")
def solved(scan: Scan) -> Product:
    return solve(scan, SolvingOptions(passes=10))


def pearsons(product: Product, scan: Scan) -> tuple[float, float]:
    """Return how well phase and amplitude agree with the truth where four beams or more were."""
    assert scan.object_ is not None
    assert product.coverage is not None
    result = compare_objects(
        product.object_,
        scan.object_,
        corner_a=product.object_corner_px,
        corner_b=scan.object_corner_px,
        mask_a=product.coverage > 3,
    )
    return result.phase_pearson, result.amplitude_pearson


def power_of(probe: NDArray[np.complex64] | None) -> float:
    assert probe is not None
    return float(np.sum(np.abs(probe) ** 2))


@pytest.mark.parametrize("noise", ["amplitude", "poisson"])
@pytest.mark.parametrize("object_name", ["blurred_lines", "gaussian_random_field"])
def test_a_scan_is_solved_from_vacuum(object_name: str, noise: Any) -> None:
    scan = make_scan(object_name)
    product = solve(scan, SolvingOptions(passes=10, noise=noise))
    phase, amplitude = pearsons(product, scan)
    assert phase > 0.96
    assert amplitude > 0.93
    assert product.pass_residuals is not None
    assert product.pass_residuals[-1] < 0.2 * product.pass_residuals[0]
    # what is left is photon noise: the root of a Poisson count has variance 1/4
    noise_share = 0.25 * SIDE**2 * 64 / scan.patterns[:].sum()
    assert product.metadata["residual"] < 1.5 * noise_share


def test_a_product_says_what_it_is(scan: Scan, solved: Product) -> None:
    canvas = canvas_for(scan)
    assert solved.object_.dtype == np.complex64
    assert (solved.object_.shape, solved.object_corner_px) == (canvas.shape, canvas.corner_px)
    np.testing.assert_array_equal(solved.corners_px, scan.corners_px)
    np.testing.assert_array_equal(solved.position_indexes, np.arange(64))
    np.testing.assert_array_equal(solved.probe, scan.probe)
    for name in ("pixel_size_m", "photon_energy_eV", "detector_distance_m", "frame", "name"):
        assert getattr(solved, name) == getattr(scan, name)
    assert (solved.complete, solved.num_patterns_used, solved.window_px) == (True, 64, SIDE)
    assert solved.pattern_residuals is not None
    assert np.isfinite(solved.pattern_residuals).all()
    assert solved.pass_residuals is not None
    assert solved.pass_residuals.shape == (10,)
    expected = {
        "method": "passes",
        "start": "vacuum",
        "passes": 10,
        "stopped": "the passes asked for are done",
        "noise": "amplitude",
        "probe_source": "file",
        "probe_refined": False,
        "probe_modes": 2,
        "residual_patterns": 64,
    }
    assert {name: solved.metadata[name] for name in expected} == expected


def test_pixels_without_light_are_zero_and_others_are_covered(solved: Product) -> None:
    assert solved.coverage is not None
    is_lit = solved.coverage > 0
    assert 0.2 < is_lit.mean() < 0.95
    assert (solved.object_[~is_lit] == 0).all()
    assert (solved.object_[is_lit] != 0).all()
    assert 10 < solved.coverage.max() <= 64


def test_the_same_seed_gives_the_same_product(scan: Scan) -> None:
    options = SolvingOptions(passes=2, refine_probe=True)
    first, second = solve(scan, options), solve(scan, options)
    np.testing.assert_array_equal(first.object_, second.object_)
    np.testing.assert_array_equal(first.probe, second.probe)
    other = solve(scan, dataclasses.replace(options, seed=1))
    assert not np.array_equal(first.object_, other.object_)


def test_a_product_is_gone_on_from(scan: Scan, solved: Product) -> None:
    options = SolvingOptions(passes=1)
    again = solve(scan, options, start=solved)
    fresh = solve(scan, options)
    assert solved.pass_residuals is not None
    assert again.pass_residuals is not None
    assert fresh.pass_residuals is not None
    assert again.metadata["start"] == solved.name
    assert again.pass_residuals[0] < 1.5 * solved.pass_residuals[-1]
    assert fresh.pass_residuals[0] > 5 * again.pass_residuals[0]


def test_the_factor_and_the_frame_of_a_start_do_not_matter(scan: Scan, solved: Product) -> None:
    cut = dataclasses.replace(
        solved,
        object_=(3j * solved.object_[8:, 5:]).astype(np.complex64),
        object_corner_px=(8, 5),
        coverage=None,
        disagreement=None,
    )
    options = SolvingOptions(passes=1)
    expected, found = (solve(scan, options, start=start) for start in (solved, cut))
    assert expected.pass_residuals is not None
    assert found.pass_residuals is not None
    assert found.pass_residuals[0] < 3 * expected.pass_residuals[0]


def test_the_probe_of_a_start_serves_a_scan_without_one(scan: Scan, solved: Product) -> None:
    bare = dataclasses.replace(scan, probe=None)
    product = solve(bare, SolvingOptions(passes=1), start=solved)
    assert product.metadata["probe_source"] == "start"
    np.testing.assert_array_equal(product.probe, solved.probe)
    alone = solve(bare, SolvingOptions(passes=1, residual_patterns=0))
    assert alone.metadata["probe_source"] == "estimated"


def test_a_given_probe_is_taken_instead_of_that_of_the_scan(scan: Scan, solved: Product) -> None:
    assert scan.probe is not None
    wrong = dataclasses.replace(scan, probe=np.ones_like(scan.probe))
    product = solve(wrong, SolvingOptions(passes=10), probe=scan.probe)
    assert product.metadata["probe_source"] == "given"
    np.testing.assert_array_equal(product.object_, solved.object_)


def test_the_scale_of_a_probe_is_kept_or_fitted(scan: Scan) -> None:
    counts = float(scan.patterns[:].sum()) / 64
    kept = solve(scan, SolvingOptions(passes=5))
    fitted = solve(scan, SolvingOptions(passes=5, keep_probe_scale=False))
    ratio = power_of(scan.probe) / counts
    assert ratio > 1.2  # the object absorbs
    assert power_of(kept.probe) == pytest.approx(ratio * counts, rel=1e-5)
    assert power_of(fitted.probe) == pytest.approx(counts, rel=1e-5)
    assert kept.metadata["probe_counts_ratio"] == fitted.metadata["probe_counts_ratio"]
    # the same patterns: what the probe has less, the object has more
    difference = fitted.object_ - kept.object_ * ratio**0.5
    assert np.linalg.norm(difference) < 1e-3 * np.linalg.norm(fitted.object_)
    assert fitted.metadata["residual"] == pytest.approx(kept.metadata["residual"], rel=1e-3)


@pytest.mark.parametrize("keep_probe_scale", [True, False])
@pytest.mark.parametrize("num_modes", [1, 2, 4])
def test_the_number_of_modes_leaves_the_power_of_the_beam(
    scan: Scan, num_modes: int, keep_probe_scale: bool
) -> None:
    options = SolvingOptions(passes=5, num_modes=num_modes, keep_probe_scale=keep_probe_scale)
    product = solve(scan, options)
    counts = float(scan.patterns[:].sum()) / 64
    assert len(product.probe) == product.metadata["probe_modes"] == num_modes
    expected = power_of(scan.probe) if keep_probe_scale else counts
    assert power_of(product.probe) == pytest.approx(expected, rel=1e-5)
    # whoever looks at the product finds the residual that the passes met
    assert product.pass_residuals is not None
    assert product.metadata["residual"] == pytest.approx(product.pass_residuals[-1], rel=0.25)


def test_a_wrong_probe_is_refined(scan: Scan) -> None:
    assert scan.probe is not None
    bent = np.exp(0.05j * np.arange(SIDE) ** 1.5).astype(np.complex64)
    options = SolvingOptions(passes=15)
    left = solve(scan, options, probe=scan.probe[:1] * bent)
    refine = dataclasses.replace(options, refine_probe=True, num_modes=2)
    refined = solve(scan, refine, probe=scan.probe[:1] * bent)
    assert (len(left.probe), len(refined.probe)) == (1, 2)
    assert (refined.metadata["probe_modes"], refined.metadata["probe_refined"]) == (2, True)
    assert float(refined.metadata["residual"]) < 0.5 * float(left.metadata["residual"])
    assert not np.array_equal(refined.probe[0], left.probe[0])


def test_the_object_that_many_read_is_that_of_one_memory(
    scan: Scan, solved: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "KEPT_BYTES", 10 * 4 * SIDE**2)
    np.testing.assert_array_equal(solve(scan, SolvingOptions(passes=10)).object_, solved.object_)


@pytest.mark.parametrize("stored", [".h5", ".npz"])
def test_residuals_of_passes_come_back_from_a_file(
    solved: Product, stored: str, tmp_path: Path
) -> None:
    path = tmp_path / f"product{stored}"
    save_product(solved, path)
    read = load_product(path)
    assert read.pass_residuals is not None
    assert read.pass_residuals.dtype == np.float64
    np.testing.assert_array_equal(read.pass_residuals, solved.pass_residuals)
    np.testing.assert_array_equal(read.object_, solved.object_)
    np.testing.assert_array_equal(read.pattern_residuals, solved.pattern_residuals)
    assert read.metadata == solved.metadata
    if stored == ".h5":  # where Ptychodus looks for them
        with h5py.File(path) as file:
            losses, epochs = file["loss_values"][()], file["loss_epochs"][()]
    else:
        with np.load(path) as file:
            losses, epochs = file["loss_values"], file["loss_epochs"]
    np.testing.assert_array_equal(losses, solved.pass_residuals)
    np.testing.assert_array_equal(epochs, np.arange(1, 11))


def test_a_product_that_is_not_finite_is_no_start(scan: Scan) -> None:
    start = solve(scan, SolvingOptions(passes=1))
    start.object_[20, 20] = np.nan
    with pytest.raises(NotFiniteError, match=r"not finite at 1 of its pixels, which patterns? \d+"):
        solve(scan, SolvingOptions(passes=1), start=start)
