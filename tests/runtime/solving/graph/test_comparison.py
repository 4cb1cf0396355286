"""The graph of a chunk is what the book says of each pattern, to 1e-5 of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from solver_oracle import Complex, Exact, Real, amplitude, changes, make_exact, with_noise

from ptychonyx.runtime.model.providers import DYNAMIC_SIDES
from ptychonyx.runtime.solving.graph.comparer import GraphComparer, relative_difference
from ptychonyx.runtime.solving.graph.comparison import (
    MODES,
    PATTERNS,
    comparison_graph,
    input_shapes,
)
from ptychonyx.runtime.solving.options import MAX_MODES, NOISES, Noise
from ptychonyx.runtime.solving.physics.exit_waves import Change, make_beam

pytest.importorskip("onnxruntime", reason="graphs run on onnxruntime")

LARGEST = 1e-5
"""What acceptance allows, relative and in the norm; 4e-6 was seen, as SciPy has it in float32."""


def a_chunk(exact: Exact, num: int) -> tuple[Complex, Real, Real]:
    """Return windows of a wrong object with fractions and measured amplitudes."""
    problem, chosen = exact.problem(), np.arange(num)
    rng = np.random.default_rng(1)
    wrong = exact.object_ * (1 + 0.2 * rng.normal(size=exact.object_.shape))
    windows = problem.placement.cut(np.asarray(wrong, np.complex64), chosen)
    fractions_px = problem.placement.fractions_px[chosen]
    measured = problem.measured.amplitudes(chosen).astype(np.float64)
    return windows.astype(np.complex128), fractions_px, measured


def some_good(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return (np.random.default_rng(0).random(shape) > 0.1).astype(np.float32)


def assert_by_the_book(
    found: Change,
    exact: Exact,
    chunk: tuple[Complex, Real, Real],
    good: Real,
    noise: Noise,
    background: float = 0.0,
) -> None:
    modes = exact.modes.astype(np.complex64).astype(np.complex128)
    parts = [
        changes(window, modes, fraction, a, weight, noise, background)
        for window, fraction, a, weight in zip(*chunk, good, strict=True)
    ]
    of_object = np.stack([of_object for of_object, _ in parts])
    assert found.object_.dtype == np.complex64
    assert relative_difference(found.object_, of_object) < LARGEST
    assert found.probe is not None
    of_probe = np.sum([of_probe for _, of_probe in parts], axis=0)
    assert relative_difference(found.probe, of_probe) < LARGEST
    windows, fractions_px, measured = chunk
    predicted = np.stack(
        [amplitude(w, modes, f) for w, f in zip(windows, fractions_px, strict=True)]
    )
    predicted = np.sqrt(predicted**2 + background)
    misfit = np.sum(good * np.square(predicted - measured))
    assert found.misfit == pytest.approx(misfit, rel=1e-5)


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("num_modes", [1, 2, 3, 4])
@pytest.mark.parametrize("noise", NOISES)
def test_a_chunk_is_what_the_book_says_of_each_pattern(
    side: int, num_modes: int, noise: Noise
) -> None:
    exact = with_noise(make_exact(4, side=side, num_modes=num_modes))
    chunk = a_chunk(exact, 3)
    windows, fractions_px, measured = chunk
    good = some_good((side, side))
    found = GraphComparer("cpu", side, noise, num_threads=1).compare(
        make_beam(exact.modes.astype(np.complex64)),
        windows.astype(np.complex64),
        fractions_px,
        measured.astype(np.float32),
        good=good,
        noise=noise,
        with_probe=True,
    )
    goods = np.broadcast_to(good, measured.shape).astype(np.float64)
    assert_by_the_book(found, exact, chunk, goods, noise)


@pytest.mark.parametrize("noise", NOISES)
def test_a_background_is_seen_but_belongs_to_no_wave(noise: Noise) -> None:
    exact = make_exact(4, side=32)
    windows, fractions_px, measured = chunk = a_chunk(exact, 3)
    found = GraphComparer("cpu", 32, noise, num_threads=1).compare(
        make_beam(exact.modes.astype(np.complex64)),
        windows.astype(np.complex64),
        fractions_px,
        measured.astype(np.float32),
        good=None,
        noise=noise,
        with_probe=True,
        background=np.full((1, 32, 32), 30, np.float32),
    )
    assert_by_the_book(found, exact, chunk, np.ones_like(measured), noise, 30.0)


@pytest.mark.parametrize("num", [1, 2, 7])
@pytest.mark.parametrize("mask", ["none", "one for each"])
def test_chunks_of_any_length_and_masks_of_each_pattern(num: int, mask: str) -> None:
    exact = make_exact(9, side=32, num_modes=2)
    chunk = a_chunk(exact, num)
    windows, fractions_px, measured = chunk
    good = None if mask == "none" else some_good((num, 32, 32))
    comparer = GraphComparer("cpu", 32, "amplitude", num_threads=1)
    for with_probe in (True, False):
        found = comparer.compare(
            make_beam(exact.modes.astype(np.complex64)),
            windows.astype(np.complex64),
            fractions_px,
            measured.astype(np.float32),
            good=good,
            noise="amplitude",
            with_probe=with_probe,
        )
        assert (found.probe is not None) is with_probe
        if with_probe:
            goods = np.broadcast_to(1 if good is None else good, measured.shape)
            assert_by_the_book(found, exact, chunk, goods.astype(np.float64), "amplitude")


@pytest.mark.parametrize("with_probe", [False, True])
@pytest.mark.parametrize("noise", NOISES)
def test_the_graph_passes_the_check_of_the_onnx_package(noise: Noise, with_probe: bool) -> None:
    onnx = pytest.importorskip("onnx", reason="reads the graph")
    data = comparison_graph(16, noise=noise, with_probe=with_probe)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    assert data == comparison_graph(16, noise=noise, with_probe=with_probe)


def test_providers_know_how_long_each_dynamic_side_is() -> None:
    sides = {side for shape in input_shapes(16).values() for side in shape if isinstance(side, str)}
    assert sides == {PATTERNS, MODES}
    assert sides <= DYNAMIC_SIDES.keys()
    assert DYNAMIC_SIDES[MODES][-1] == MAX_MODES
