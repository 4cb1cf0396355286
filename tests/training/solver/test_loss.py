"""The loss of a batch, by the formula, in both backends, and its gradient by differences."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.training.solver.loss import losses

Images = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def images() -> Images:
    rng = np.random.default_rng(0)
    truths = rng.normal(size=(2, 2, 8, 9))
    objects = 0.7 * truths + 0.2 * rng.normal(size=truths.shape)
    weights = rng.uniform(size=(2, 8, 9))
    weights[:, :2] = 0
    return objects, truths, weights / weights.sum(axis=(1, 2), keepdims=True)


def of_backend(backend: str, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses and the gradient of their sum for the objects."""
    pytest.importorskip("torch" if backend == "pytorch" else "tensorflow")
    single = [image.astype(np.float32) for image in images]
    if backend == "pytorch":
        import torch

        from ptychonyx.training.pytorch.solver_learner import losses as loss_of

        objects = torch.from_numpy(single[0]).requires_grad_()
        values = loss_of(objects, *(torch.from_numpy(image) for image in single[1:]))
        values.sum().backward()
        assert objects.grad is not None
        return values.detach().numpy(), objects.grad.numpy()
    import tensorflow as tf

    from ptychonyx.training.tensorflow.solver_learner import losses as loss_in_tensorflow

    with tf.GradientTape() as tape:
        variable = tf.Variable(single[0])
        values = loss_in_tensorflow(variable, *(tf.constant(image) for image in single[1:]))
        total = tf.reduce_sum(values)
    return values.numpy(), tape.gradient(total, variable).numpy()


@pytest.mark.parametrize("backend", ["pytorch", "tensorflow"])
def test_a_backend_has_the_loss_of_the_formula(backend: str, images: Images) -> None:
    values, _ = of_backend(backend, images)
    np.testing.assert_allclose(values, losses(*images), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("backend", ["pytorch", "tensorflow"])
def test_the_gradient_leaves_the_phase_where_it_is(backend: str, images: Images) -> None:
    # the turn to the truth's phase is no part of the gradient, so it is held where it was found
    _, gradient = of_backend(backend, images)
    objects, truths, weights = images
    overlap = (
        weights * (truths[:, 0] - 1j * truths[:, 1]) * (objects[:, 0] + 1j * objects[:, 1])
    ).sum(axis=(1, 2), keepdims=True)
    turned = (truths[:, 0] + 1j * truths[:, 1]) * overlap / np.abs(overlap)
    held = np.stack([turned.real, turned.imag], axis=1)
    rng = np.random.default_rng(1)
    for _ in range(5):
        # along this direction the overlap with the truth keeps its phase
        way = rng.normal(size=objects.shape)
        inner = (weights * (held[:, 0] - 1j * held[:, 1]) * (way[:, 0] + 1j * way[:, 1])).sum(
            axis=(1, 2), keepdims=True
        )
        size = (weights * (held**2).sum(axis=1)).sum(axis=(1, 2), keepdims=True)
        away = 1j * inner.imag / size * turned
        way = way - np.stack([away.real, away.imag], axis=1)
        step = 1e-5
        change = losses(objects + step * way, truths, weights) - losses(
            objects - step * way, truths, weights
        )
        assert float((gradient * way).sum()) == pytest.approx(
            float(change.sum()) / (2 * step), rel=1e-3
        )


def test_a_phase_that_nobody_can_tell_costs_nothing(images: Images) -> None:
    objects, truths, weights = images
    whole = objects[:, 0] + 1j * objects[:, 1]
    turned = whole * np.exp(0.7j)
    again = np.stack([turned.real, turned.imag], axis=1)
    np.testing.assert_allclose(losses(again, truths, weights), losses(objects, truths, weights))
