"""A small random scan; the tiny model, with one prediction at a time and with two."""

from __future__ import annotations

import numpy as np
import pytest
from image_scan import SIDE
from model_files import ModelPath

from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.scan import Scan


@pytest.fixture(params=[1, 2], ids=["one prediction", "two at once"])
def model(model_path: ModelPath, request: pytest.FixtureRequest) -> Model:
    return Model(model_path(), provider="cpu", num_threads=1, predictions_at_once=request.param)


@pytest.fixture
def scan() -> Scan:
    """Fifty patterns of noise, at random places."""
    rng = np.random.default_rng(0)
    corners_px = rng.uniform(0, 20, (50, 2))
    return Scan(rng.uniform(0.5, 2, (50, SIDE, SIDE)), "amplitude", corners_px)
