"""Buffers bound to a device give what an unbound session gives, in a few fixed batch sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import ModelPath
from numpy.typing import NDArray

from ptychonyx.runtime.model.binding import BATCH_SIZES, BoundSession
from ptychonyx.runtime.model.model_file import open_model_file
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.start import start_session

pytest.importorskip("onnx", reason="model files are built with the onnx package")
ort = pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


def patterns(batch: int) -> NDArray[np.float32]:
    return np.random.default_rng(batch).random((batch, 1, 8, 8), dtype=np.float32)


def session_of(path: Path) -> Any:
    return start_session(ort, open_model_file(path), "cpu")[1]


@pytest.mark.parametrize("batch", [1, 2, 4, 5, 64, 256, 257, 600])
def test_any_batch_gives_what_an_unbound_session_gives(model_path: ModelPath, batch: int) -> None:
    model = Model(model_path(), provider="cpu")
    bound = BoundSession(ort, session_of(model.path), "cpu")
    for scale in (3.0, 0.5):
        pairs = bound.run(patterns(batch), scale)
        expected = model.predict(patterns(batch), scale)
        np.testing.assert_array_equal(pairs.view(np.complex64)[..., 0], expected)


def test_results_stay_when_buffers_are_used_again(model_path: ModelPath) -> None:
    bound = BoundSession(ort, session_of(model_path()), "cpu")
    first = bound.run(patterns(4), 1.0)
    kept = first.copy()
    bound.run(patterns(3), 2.0)
    np.testing.assert_array_equal(first, kept)


def test_a_session_sees_only_the_fixed_sizes(model_path: ModelPath) -> None:
    session, seen = session_of(model_path()), []

    class Watched:
        def io_binding(self) -> Any:
            return session.io_binding()

        def run_with_iobinding(self, of: Any) -> None:
            session.run_with_iobinding(of)
            seen.append(of.get_outputs()[0].shape()[0])

    bound = BoundSession(ort, Watched(), "cpu")
    for batch in (2, 3, 17, 300):
        assert len(bound.run(patterns(batch), 1.0)) == batch
    assert seen == [4, 4, 64, 256, 64]
    assert set(seen) <= set(BATCH_SIZES)
