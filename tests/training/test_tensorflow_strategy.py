"""TensorFlow says if it leaves a machine's GPU unused."""

from __future__ import annotations

import logging

import pytest

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("num_gpus", "why_none", "is_said"),
    [(0, None, True), (1, None, False), (0, "there is no driver", False)],
)
def test_an_unused_gpu_is_said(
    num_gpus: int, why_none: str | None, is_said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    from ptychonyx.training.tensorflow.strategy import warn_of_unused_gpu

    with caplog.at_level(logging.WARNING):
        warn_of_unused_gpu(num_gpus, lambda: why_none)
    assert ("trains on the CPU" in caplog.text) == is_said
