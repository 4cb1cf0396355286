"""Reading, predicting and stitching overlap, but what comes out is what one by one gives."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_scan import OFFSET, PATCH, make_scan
from model_files import TinyModel
from numpy.typing import NDArray

from ptychonyx.runtime.errors import NotFiniteError, ScanError
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.pipeline import BATCHES_AHEAD
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
from ptychonyx.runtime.scaling import input_scale
from ptychonyx.runtime.scan import PatternSource
from ptychonyx.runtime.stitching.mosaic import Mosaic
from ptychonyx.runtime.stitching.patches import canvas_for, patch_weights

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


@pytest.mark.parametrize("align_phase", [False, True])
def test_the_pipeline_gives_what_one_by_one_gives_to_the_bit(
    model: Model, monkeypatch: pytest.MonkeyPatch, align_phase: bool
) -> None:
    scan, _ = make_scan(fractional=True)
    batches = np.array_split(np.arange(144), range(10, 144, 10))
    predict, slow = model.predict, np.random.default_rng(0)

    def late(amplitude: NDArray[np.float32], scale: float) -> NDArray[np.complex64]:
        time.sleep(slow.uniform(0, 0.01))  # batches overtake each other
        return predict(amplitude, scale)

    monkeypatch.setattr(model, "predict", late)
    product = reconstruct(
        scan, model, ReconstructionOptions(batch_size=10, align_phase=align_phase)
    )
    reference, scale = None, input_scale(scan)
    for _ in range(1 + align_phase):
        mosaic = Mosaic(canvas_for(scan), patch_weights(None, PATCH), reference=reference)
        for batch in batches:
            patches = predict(scan.patterns[batch][:, None], scale)[:, 0]
            mosaic.add(patches, scan.corners_px[batch] + OFFSET)
        stitched = mosaic.finish()
        reference = stitched.object_
    np.testing.assert_array_equal(product.object_, stitched.object_)
    np.testing.assert_array_equal(product.disagreement, stitched.disagreement)
    np.testing.assert_array_equal(product.coverage, stitched.coverage)


class RecordingPatterns:
    """Patterns that count reads, and fail on request after the first pass."""

    def __init__(self, patterns: PatternSource, fail_at: int | None = None) -> None:
        self.array, self.fail_at = patterns, fail_at
        self.shape, self.dtype = patterns.shape, patterns.dtype
        self.starts: list[int] = []
        self.threads: set[str] = set()

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        assert isinstance(key, slice)
        self.starts.append(key.start)
        self.threads.add(threading.current_thread().name)
        if key.start == self.fail_at:
            raise OSError("the disk is gone")
        return self.array[key]


def test_no_more_than_a_few_batches_are_read_ahead(model: Model) -> None:
    scan, _ = make_scan()
    source = RecordingPatterns(scan.patterns)
    scan = dataclasses.replace(scan, patterns=source)
    ahead = []

    def progress(done: int, total: int) -> None:
        time.sleep(0.005)  # all the time a reader needs to run away
        ahead.append(max(source.starts) // 10 + 1 - done // 10)

    reconstruct(scan, model, ReconstructionOptions(batch_size=10, scale=1.0), progress=progress)
    assert max(ahead) <= BATCHES_AHEAD
    assert any(name.startswith("read") for name in source.threads)


def test_an_error_of_the_reader_comes_out_and_no_thread_stays(model: Model) -> None:
    scan, _ = make_scan()
    before = threading.active_count()
    scan = dataclasses.replace(scan, patterns=RecordingPatterns(scan.patterns, fail_at=30))
    with pytest.raises(OSError, match="the disk is gone"):
        reconstruct(scan, model, ReconstructionOptions(batch_size=10))
    assert threading.active_count() == before


def test_an_error_leaves_the_batches_behind_it_alone(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read ahead is not predicted any more once a batch failed."""
    calls = []

    def fail(amplitude: NDArray[np.float32], scale: float) -> None:
        calls.append(len(amplitude))
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model, "predict", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        reconstruct(make_scan()[0], model, ReconstructionOptions(batch_size=10))
    assert len(calls) <= BATCHES_AHEAD


def test_a_bad_pattern_is_named(model: Model) -> None:
    scan, _ = make_scan()
    patterns = scan.patterns[:].copy()
    patterns[77, 3, 3] = np.nan
    with pytest.raises(ScanError, match="Pattern 77"):
        reconstruct(dataclasses.replace(scan, patterns=patterns), model)


def test_an_error_of_the_stitcher_comes_out(tmp_path: Path, tiny_model: TinyModel) -> None:
    onnx = pytest.importorskip("onnx")
    proto = tiny_model()
    half = next(tensor for tensor in proto.graph.initializer if tensor.name == "half")
    half.CopyFrom(onnx.numpy_helper.from_array(np.array(np.inf, np.float32), "half"))
    path = tmp_path / "infinite.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="not finite"):
        reconstruct(
            make_scan()[0],
            Model(path, provider="cpu", check_proof=False),
            ReconstructionOptions(batch_size=10),
        )


def test_patterns_whose_patches_are_not_finite_are_named(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, calls = model.predict, []

    def spoil(amplitude: NDArray[np.float32], scale: float) -> NDArray[np.complex64]:
        calls.append(1)
        patches = predict(amplitude, scale)
        if len(calls) == 3:
            patches[[4, 7]] = np.nan
        return patches

    monkeypatch.setattr(model, "predict", spoil)
    monkeypatch.setattr(model, "predictions_at_once", 1)
    with pytest.raises(NotFiniteError, match="patches of patterns 24, 27 of") as caught:
        reconstruct(make_scan()[0], model, ReconstructionOptions(batch_size=10))
    assert caught.value.indexes == (24, 27)


def test_keyboard_interrupt_leaves_no_thread_behind(model: Model) -> None:
    before = threading.active_count()

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(make_scan()[0], model, ReconstructionOptions(batch_size=10), progress=interrupt)
    assert threading.active_count() == before
