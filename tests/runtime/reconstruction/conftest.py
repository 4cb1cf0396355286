"""The tiny model, with one prediction at a time and with two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ptychonyx.runtime.model.session import Model


@pytest.fixture(params=[1, 2], ids=["one prediction", "two at once"])
def model(model_path: Callable[..., Path], request: pytest.FixtureRequest) -> Model:
    return Model(model_path(), provider="cpu", num_threads=1, predictions_at_once=request.param)
