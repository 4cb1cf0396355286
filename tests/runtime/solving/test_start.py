"""Passes start from an object of the right size, wherever it comes from."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from solver_oracle import Exact

from ptychonyx.runtime.product import Product
from ptychonyx.runtime.solving.physics.exit_waves import make_beam, predict_amplitudes
from ptychonyx.runtime.solving.physics.placement import Placement, place_windows
from ptychonyx.runtime.solving.start import fitting_factor, object_of_product, vacuum

CORNERS_PX = np.array([[5.0, -3.0], [12.25, 4.0], [9.0, 1.0]])
SIDE = 8
RATIO = 4.0
VACUUM = 0.5


@pytest.fixture
def placement() -> Placement:
    """A canvas of 15×15 whose corner is (5, −3)."""
    return place_windows(CORNERS_PX, SIDE)


def make_product(shape: tuple[int, int], corner_px: tuple[int, int], **changes: Any) -> Product:
    rng = np.random.default_rng(0)
    object_ = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    probe = np.ones((1, SIDE, SIDE), np.complex64)
    product = Product(object_, corner_px, CORNERS_PX, np.arange(3), SIDE, probe)
    return dataclasses.replace(product, **changes)


def by_frame(product: Product, placement: Placement) -> NDArray[np.complex64]:
    """Lay a product on the canvas pixel by pixel, as the scan's frame has it."""
    expected = np.full(placement.shape, VACUUM, np.complex64)
    known = product.object_ != 0 if product.coverage is None else product.coverage > 0
    for y, x in np.ndindex(*placement.shape):
        row = y + placement.corner_px[0] - product.object_corner_px[0]
        column = x + placement.corner_px[1] - product.object_corner_px[1]
        if 0 <= row < known.shape[0] and 0 <= column < known.shape[1] and known[row, column]:
            expected[y, x] = product.object_[row, column]
    return expected


def test_vacuum_lets_through_what_was_counted(exact: Exact) -> None:
    problem = exact.problem()
    power = float(np.sum(np.abs(3 * exact.modes) ** 2))
    counts = float(problem.measured.counts.mean())
    object_ = vacuum(problem.placement, power / counts)
    assert object_.dtype == np.complex64
    windows = problem.placement.cut(object_, np.array([0]))
    beam = make_beam((3 * exact.modes).astype(np.complex64))
    predicted = predict_amplitudes(beam, windows, np.zeros((1, 2)))
    assert np.square(predicted).sum() == pytest.approx(counts, rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "corner_px"),
    [
        ((15, 15), (5, -3)),
        ((40, 30), (-2, -9)),
        ((4, 5), (9, 2)),
        ((10, 10), (0, 0)),
        ((10, 10), (15, 7)),
        ((6, 40), (7, -20)),
    ],
    ids=["same", "bigger", "inside", "over the top", "over the corner", "across"],
)
def test_a_product_lies_where_the_frame_has_it(
    placement: Placement, shape: tuple[int, int], corner_px: tuple[int, int]
) -> None:
    product = make_product(shape, corner_px)
    found = object_of_product(product, placement, vacuum(placement, RATIO))
    assert found.dtype == np.complex64
    np.testing.assert_array_equal(found, by_frame(product, placement))
    assert (found != VACUUM).any()


@pytest.mark.parametrize("corner_px", [(20, -3), (-10, -3), (5, 12), (5, -18), (99, 99)])
def test_a_product_from_elsewhere_leaves_vacuum(
    placement: Placement, corner_px: tuple[int, int]
) -> None:
    found = object_of_product(
        make_product((15, 15), corner_px), placement, vacuum(placement, RATIO)
    )
    np.testing.assert_array_equal(found, np.complex64(VACUUM))


def test_where_a_product_knows_nothing_there_is_vacuum(placement: Placement) -> None:
    coverage = np.random.default_rng(1).integers(0, 3, (15, 15), dtype=np.int32)
    covered = make_product((15, 15), (4, -2), coverage=coverage)
    found = object_of_product(covered, placement, vacuum(placement, RATIO))
    np.testing.assert_array_equal(found, by_frame(covered, placement))
    holed = covered.object_ * (coverage > 0)
    without = make_product((15, 15), (4, -2), object_=holed.astype(np.complex64))
    np.testing.assert_array_equal(
        object_of_product(without, placement, vacuum(placement, RATIO)), found
    )


def test_the_given_product_is_not_touched(placement: Placement) -> None:
    product = make_product((15, 15), (5, -3))
    before = product.object_.copy()
    object_of_product(product, placement, vacuum(placement, RATIO))[...] = 0
    np.testing.assert_array_equal(product.object_, before)


@pytest.mark.parametrize("factor", [0.1, 1.0, 3.7])
@pytest.mark.parametrize("has_bad", [False, True])
def test_the_factor_of_an_object_is_found(exact: Exact, factor: float, has_bad: bool) -> None:
    if has_bad:
        bad_pixels = np.zeros((32, 32), np.bool_)
        bad_pixels[14:17, 15:18] = True  # most of the light
        scan = dataclasses.replace(exact.scan, bad_pixels=bad_pixels)
        exact = dataclasses.replace(exact, scan=scan)
    problem = exact.problem()
    object_ = (exact.object_ / factor).astype(np.complex64)
    probe = exact.modes.astype(np.complex64)
    found = fitting_factor(problem.measured, problem.placement, object_, probe)
    assert found == pytest.approx(factor, rel=1e-4)


def test_an_object_that_predicts_nothing_is_left_alone(exact: Exact) -> None:
    problem = exact.problem()
    nothing = np.zeros(problem.placement.shape, np.complex64)
    probe = exact.modes.astype(np.complex64)
    assert fitting_factor(problem.measured, problem.placement, nothing, probe) == 1
