"""What a network sees says the same of the same pass, in whatever unit the scan has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptychonyx.runtime.solving.network.features import (
    FEATURES,
    LARGEST_CHANGE,
    NUM_FEATURES,
    SMALLEST_UNIT,
    features_of,
)
from ptychonyx.runtime.solving.physics.sweep import State, start_state


def noisy(rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    real, imaginary = scale * rng.normal(size=(2, 24, 20))
    return (real + 1j * imaginary).astype(np.complex64)


@pytest.fixture
def before() -> State:
    rng = np.random.default_rng(0)
    state = start_state(1 + noisy(rng, 0.1), np.ones((1, 4, 4), np.complex64))
    return replace(state, last_change=noisy(rng, 0.1), correction=noisy(rng, 0.1), num_passes=9)


@pytest.fixture
def after(before: State) -> State:
    change = noisy(np.random.default_rng(1), 0.1)
    return replace(before, object_=before.object_ + change, residual=0.01, num_passes=10)


@pytest.fixture
def light() -> np.ndarray:
    return np.random.default_rng(2).uniform(10, 1e4, (24, 20)).astype(np.float32)


def test_every_image_is_what_its_name_says(before: State, after: State, light: np.ndarray) -> None:
    features = features_of(before, after, light)
    images = dict(zip(FEATURES, features.images, strict=True))
    change = after.object_ - before.object_
    size = np.sqrt(np.average(np.abs(after.object_) ** 2, weights=light))
    lit = np.minimum(light / light.max() / 0.2, 1)
    changed = np.sqrt(np.average(np.abs(change) ** 2, weights=lit))
    noise = 0.5 / np.sqrt(light)
    unit = changed + np.sqrt(np.average(noise**2, weights=lit)) + SMALLEST_UNIT * size
    assert features.unit == pytest.approx(unit, rel=1e-4)

    def same(name: str, expected: np.ndarray | float) -> None:
        np.testing.assert_allclose(images[name], np.broadcast_to(expected, (24, 20)), rtol=1e-3)

    same("real part of the pass' change", change.real / unit)
    same("the same times the light, imaginary part", (change * light / light.max()).imag / unit)
    same("imaginary part of the change before", before.last_change.imag / unit)
    assert before.correction is not None
    same("real part of the network's last correction", before.correction.real / unit)
    same("imaginary part of the object", after.object_.imag / size)
    same("square root of the light", np.sqrt(light / light.max()))
    same("logarithm of the photon noise", np.log10(noise / size) + 2)
    same("logarithm of how much the pass changed", np.log10(changed / size) + 2)
    same("logarithm of the residual", 0.0)
    same("logarithm of the share of the first misfit that was no noise", 2.0)
    same("logarithm of the number of the pass", 1.0)


def test_another_unit_of_the_object_changes_nothing(
    before: State, after: State, light: np.ndarray
) -> None:
    def dimmed(state: State) -> State:
        assert state.correction is not None
        half = np.float32(0.5)
        return replace(
            state,
            object_=half * state.object_,
            last_change=half * state.last_change,
            correction=half * state.correction,
        )

    whole = features_of(before, after, light)
    halved = features_of(dimmed(before), dimmed(after), 4 * light)  # a probe of twice the amplitude
    np.testing.assert_allclose(halved.images, whole.images, atol=1e-5)
    assert halved.unit == pytest.approx(whole.unit / 2, rel=1e-5)


def test_a_wild_pixel_and_a_dark_one_are_bounded(
    before: State, after: State, light: np.ndarray
) -> None:
    after.object_[3, 4] = 1e6
    light[5, 6] = 0
    images = features_of(before, after, light).images
    assert images.shape == (NUM_FEATURES, 24, 20)
    assert np.isfinite(images).all()
    assert np.abs(images).max() <= LARGEST_CHANGE


def test_a_pass_that_changed_nothing_still_has_a_unit(before: State, light: np.ndarray) -> None:
    features = features_of(before, replace(before, residual=0.1), light)
    assert np.isfinite(features.images).all()
    assert features.unit > 0
    assert not features.images[:4].any()
