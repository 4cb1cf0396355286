"""Patches of a known model land in the right place, whatever the batches."""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest
from mosaics import stitch_patches

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.pipeline import BATCHES_AHEAD
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
from ptychonyx.runtime.scaling import input_scale, probe_in_counts
from ptychonyx.runtime.scan import Frame, Scan
from ptychonyx.runtime.stitching.mosaic import Mosaic
from ptychonyx.runtime.stitching.patches import canvas_for, patch_weights

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")

FACTOR = np.complex64(1 + 0.5j)
SIDE, PATCH, OFFSET = 8, 4, 2


def make_scan(*, fractional: bool = False, **changes):
    """Return a scan whose "patterns" are windows of a known image, which the tiny model returns."""
    rng = np.random.default_rng(0)
    image = rng.random((30, 41)).astype(np.float32) + np.float32(0.1)
    ys, xs = np.meshgrid(np.arange(0, 23, 2), np.arange(0, 34, 3), indexing="ij")
    corners = rng.permutation(np.stack([ys.ravel(), xs.ravel()], axis=-1))
    windows = [image[y : y + SIDE, x : x + SIDE] for y, x in corners]
    shift = np.array([0.25, 0.5]) if fractional else np.array([-7.0, 12.0])
    scan = Scan(np.stack(windows), "amplitude", corners + shift, name="image")
    return dataclasses.replace(scan, **changes), image


@pytest.fixture(params=[1, 2], ids=["one prediction", "two at once"])
def model(model_path, request):
    return Model(model_path(), provider="cpu", num_threads=1, predictions_at_once=request.param)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_every_patch_lands_where_its_window_lies(model, batch_size):
    scan, image = make_scan()
    product = reconstruct(scan, model, ReconstructionOptions(batch_size=batch_size))
    assert product.object_.shape == image.shape
    assert product.object_corner_px == (-7, 12)
    covered = product.coverage > 0
    # the central 4×4 of the windows reaches to 2 pixels from the windows' outer edges
    expected = np.zeros(image.shape, bool)
    expected[OFFSET:-OFFSET, OFFSET : OFFSET + 37] = True
    np.testing.assert_array_equal(covered, expected)
    truth = image * np.float32(input_scale(scan)) * FACTOR
    np.testing.assert_allclose(product.object_[covered], truth[covered], rtol=2e-6)
    np.testing.assert_array_equal(product.object_[~covered], 0)
    assert product.disagreement.max() < 1e-6


@pytest.mark.parametrize("align_phase", [False, True])
def test_the_pipeline_gives_what_one_by_one_gives_to_the_bit(model, monkeypatch, align_phase):
    scan, _ = make_scan(fractional=True)
    batches = np.array_split(np.arange(144), range(10, 144, 10))
    predict, slow = model.predict, np.random.default_rng(0)

    def late(amplitude, scale):
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


def test_fractional_corners_are_stitched_as_by_hand(model):
    scan, _ = make_scan(fractional=True)
    product = reconstruct(scan, model, ReconstructionOptions(batch_size=10))
    crops = scan.patterns[:, OFFSET : OFFSET + PATCH, OFFSET : OFFSET + PATCH]
    by_hand = stitch_patches(
        crops * np.float32(input_scale(scan)) * FACTOR,
        scan.corners_px + OFFSET,
        canvas=canvas_for(scan),
        weights=patch_weights(None, PATCH),
    )
    np.testing.assert_allclose(product.object_, by_hand.object_, atol=1e-5)
    np.testing.assert_array_equal(product.coverage, by_hand.coverage)


def test_odd_margin_is_rounded_as_in_the_exported_graph(model_path):
    scan, image = make_scan()
    product = reconstruct(scan, Model(model_path(patch_px=5), provider="cpu"))
    covered = product.coverage > 0
    assert covered[1].any()
    assert not covered[0].any()
    truth = image * np.float32(input_scale(scan)) * FACTOR
    np.testing.assert_allclose(product.object_[covered], truth[covered], rtol=2e-6)


def test_the_file_s_own_canvas_is_kept(model):
    frame = Frame((50, 60), (0.0, 1e-6), (1e-8, 1e-8))
    scan, image = make_scan(frame=frame, pixel_size_m=1e-8, photon_energy_eV=6200.0)
    scan = dataclasses.replace(scan, corners_px=scan.corners_px + np.array([10.0, -8.0]))
    product = reconstruct(scan, model)
    assert (product.object_.shape, product.object_corner_px) == ((50, 60), (0, 0))
    rows, columns = slice(3 + OFFSET, 33 - OFFSET), slice(4 + OFFSET, 4 + OFFSET + 37)
    truth = image[OFFSET:-OFFSET, OFFSET : OFFSET + 37] * np.float32(input_scale(scan)) * FACTOR
    np.testing.assert_allclose(product.object_[rows, columns], truth, rtol=2e-6)
    assert product.frame == frame
    assert (product.pixel_size_m, product.photon_energy_eV) == (1e-8, 6200.0)


def test_scale_may_be_given(model):
    scan, image = make_scan()
    middle = np.s_[10:20, 10:20]
    for scale, used in (("scan", input_scale(scan)), ("trained", 0.25), (3, 3.0)):
        product = reconstruct(scan, model, ReconstructionOptions(scale=scale))
        assert product.metadata["input_scale"] == used
        truth = image * np.float32(used) * FACTOR
        np.testing.assert_allclose(product.object_[middle], truth[middle], rtol=2e-6)


@pytest.mark.parametrize("scale", ["file", None, 0.0, -1.0, np.nan, np.inf])
def test_wrong_scale_is_refused(model, scale):
    with pytest.raises(ValueError, match="`scale` is"):
        reconstruct(make_scan()[0], model, ReconstructionOptions(scale=scale))


def test_scan_that_does_not_fit_is_refused(model, model_path):
    other = Scan(np.ones((2, 16, 16)), "counts", np.zeros((2, 2)), name="wide")
    with pytest.raises(ValueError, match=r"'wide' are 16×16.*'tiny' takes 8×8.*N = 16"):
        reconstruct(other, model)
    with pytest.raises(ValueError, match="`batch_size` is 0"):
        reconstruct(make_scan()[0], model, ReconstructionOptions(batch_size=0))
    sparse = dataclasses.replace(make_scan()[0], corners_px=make_scan()[0].corners_px * 3)
    with pytest.raises(ScanError, match=r"neighbours within 2 px.*a group of 4.*smaller ones, or"):
        reconstruct(sparse, Model(model_path(num_channels=4), provider="cpu"))


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100])
@pytest.mark.parametrize("num_channels", [4, 9])
def test_all_patches_of_every_group_land_where_their_windows_lie(
    model_path, num_channels, batch_size
):
    scan, image = make_scan()
    model = Model(model_path(num_channels=num_channels, max_distance_px=9.0), provider="cpu")
    product = reconstruct(scan, model, ReconstructionOptions(batch_size=batch_size))
    covered = product.coverage > 0
    truth = image * np.float32(input_scale(scan)) * FACTOR
    np.testing.assert_allclose(product.object_[covered], truth[covered], rtol=3e-6)
    assert (product.complete, product.num_patterns_used) == (True, 144)
    alone = reconstruct(scan, Model(model_path(), provider="cpu"))
    np.testing.assert_array_equal(covered, alone.coverage > 0)
    # each window is stitched once for its own group, and once for every other that it belongs to
    assert product.coverage.sum() == num_channels * alone.coverage.sum()


def test_progress_and_what_the_product_says(model):
    scan, _ = make_scan()
    seen = []
    product = reconstruct(
        scan,
        model,
        ReconstructionOptions(batch_size=50),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(50, 144), (100, 144), (144, 144)]
    assert (product.complete, product.num_patterns_used) == (True, 144)
    np.testing.assert_array_equal(product.position_indexes, np.arange(144))
    np.testing.assert_array_equal(product.corners_px, scan.corners_px)
    metadata = product.metadata
    assert metadata["model_digest"] == model.digest
    assert metadata["providers"] == "CPUExecutionProvider"
    assert (metadata["model_name"], metadata["backend"]) == ("tiny", "pytorch")
    assert 0 < metadata["infer_s"] < metadata["total_s"]
    assert all(isinstance(value, str | float | int | bool) for value in metadata.values())


def test_stopping_keeps_the_batches_that_are_done(model):
    scan, _ = make_scan()
    calls = []
    stopped = reconstruct(
        scan,
        model,
        ReconstructionOptions(batch_size=20),
        should_stop=lambda: calls.append(1) or len(calls) == 3,
    )
    assert (stopped.complete, stopped.num_patterns_used) == (False, 60)
    part = dataclasses.replace(scan, patterns=scan.patterns[:60], corners_px=scan.corners_px[:60])
    scale = input_scale(scan)
    by_hand = stitch_patches(
        model.predict(part.patterns[:, None], scale)[:, 0],
        part.corners_px + OFFSET,
        canvas=canvas_for(scan),
        weights=patch_weights(None, PATCH),
    )
    np.testing.assert_allclose(stopped.object_, by_hand.object_, atol=1e-6)
    assert len(stopped.corners_px) == scan.num_patterns
    # asked to stop after the last batch, nothing is missing
    assert reconstruct(
        scan, model, ReconstructionOptions(batch_size=144), should_stop=lambda: True
    ).complete


def gaussian_probe(width: float = 1.0):
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    return np.exp(-(y**2 + x**2) / (2 * width**2)).astype(np.complex64)[None]


def test_probe_of_the_file_comes_first(model_path):
    model = Model(model_path(probe=gaussian_probe(3.0)), provider="cpu")
    scan, _ = make_scan(probe=gaussian_probe() * np.complex64(100))
    product = reconstruct(scan, model)
    assert product.metadata["probe_source"] == "file"
    counts = float(np.square(scan.patterns.astype(np.float64)).sum() / scan.num_patterns)
    expected, ratio = probe_in_counts(scan.probe, counts)
    assert ratio > 4
    assert product.metadata["probe_counts_ratio"] == pytest.approx(ratio)
    np.testing.assert_allclose(product.probe, expected)
    assert np.sum(np.abs(product.probe) ** 2) == pytest.approx(counts, rel=1e-5)


def test_probe_of_the_model_comes_second_and_the_estimate_last(model, model_path, caplog):
    scan, _ = make_scan()
    with_probe = Model(model_path(probe=gaussian_probe()), provider="cpu")
    product = reconstruct(scan, with_probe)
    assert product.metadata["probe_source"] == "model"
    assert "has no probe; the product gets that of the model tiny" in caplog.text
    overlap = np.vdot(product.probe, gaussian_probe()) / np.linalg.norm(gaussian_probe()) ** 2
    np.testing.assert_allclose(product.probe, gaussian_probe() * overlap, rtol=1e-5)
    estimated = reconstruct(scan, model)
    assert estimated.metadata["probe_source"] == "estimated"
    assert estimated.probe.shape == (1, SIDE, SIDE)
    assert "an estimate" in caplog.text


def test_the_probe_weighs_the_patches(model):
    """Two patches that disagree: each pixel goes to the one under the brighter beam."""
    patterns = np.ones((2, SIDE, SIDE), np.float32)
    patterns[1] = 3
    probe = np.full((1, SIDE, SIDE), 0.1, np.complex64)
    probe[0, :, :4] = 1  # bright left half: columns 2 and 3 are the left half of the central 4×4
    scan = Scan(patterns, "amplitude", np.array([[0.0, 0.0], [0.0, 2.0]]), probe=probe)
    row = reconstruct(scan, model, ReconstructionOptions(scale=1.0)).object_[4].real
    np.testing.assert_allclose(row[[2, 3, 4, 5, 6, 7]], [1, 1, 3, 3, 3, 3], atol=0.03)


class RecordingPatterns:
    """Patterns that count reads, and fail on request after the first pass."""

    def __init__(self, patterns, fail_at=None):
        self.array, self.fail_at = patterns, fail_at
        self.shape, self.dtype = patterns.shape, patterns.dtype
        self.starts: list[int] = []
        self.threads: set[str] = set()

    def __getitem__(self, key):
        self.starts.append(key.start)
        self.threads.add(threading.current_thread().name)
        if key.start == self.fail_at:
            raise OSError("the disk is gone")
        return self.array[key]


def test_no_more_than_a_few_batches_are_read_ahead(model):
    scan, _ = make_scan()
    source = RecordingPatterns(scan.patterns)
    scan = dataclasses.replace(scan, patterns=source)
    ahead = []

    def progress(done, total):
        time.sleep(0.005)  # all the time a reader needs to run away
        ahead.append(max(source.starts) // 10 + 1 - done // 10)

    reconstruct(scan, model, ReconstructionOptions(batch_size=10, scale=1.0), progress=progress)
    assert max(ahead) <= BATCHES_AHEAD
    assert any(name.startswith("read") for name in source.threads)


def test_an_error_of_the_reader_comes_out_and_no_thread_stays(model):
    scan, _ = make_scan()
    before = threading.active_count()
    scan = dataclasses.replace(scan, patterns=RecordingPatterns(scan.patterns, fail_at=30))
    with pytest.raises(OSError, match="the disk is gone"):
        reconstruct(scan, model, ReconstructionOptions(batch_size=10))
    assert threading.active_count() == before


def test_an_error_leaves_the_batches_behind_it_alone(model, monkeypatch):
    """What was read ahead is not predicted any more once a batch failed."""
    calls = []

    def fail(amplitude, scale):
        calls.append(len(amplitude))
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model, "predict", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        reconstruct(make_scan()[0], model, ReconstructionOptions(batch_size=10))
    assert len(calls) <= BATCHES_AHEAD


def test_a_bad_pattern_is_named(model):
    scan, _ = make_scan()
    patterns = scan.patterns.copy()
    patterns[77, 3, 3] = np.nan
    with pytest.raises(ScanError, match="Pattern 77"):
        reconstruct(dataclasses.replace(scan, patterns=patterns), model)


def test_an_error_of_the_stitcher_comes_out(tmp_path, tiny_model):
    onnx = pytest.importorskip("onnx")
    proto = tiny_model()
    half = next(tensor for tensor in proto.graph.initializer if tensor.name == "half")
    half.CopyFrom(onnx.numpy_helper.from_array(np.array(np.inf, np.float32), "half"))
    path = tmp_path / "infinite.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="not finite"):
        reconstruct(
            make_scan()[0], Model(path, provider="cpu"), ReconstructionOptions(batch_size=10)
        )


def test_keyboard_interrupt_leaves_no_thread_behind(model):
    before = threading.active_count()

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(make_scan()[0], model, ReconstructionOptions(batch_size=10), progress=interrupt)
    assert threading.active_count() == before


@pytest.mark.parametrize("source", ["trained", "given"])
def test_a_probe_given_to_or_trained_with_the_network_is_the_one_stored(source, model_path):
    rng = np.random.default_rng(3)
    scan, _ = make_scan()
    scan = dataclasses.replace(scan, probe=rng.random((1, SIDE, SIDE)).astype(np.complex64))
    trained = rng.random((2, SIDE, SIDE)).astype(np.complex64)
    path = model_path(probe=trained, training_summary={"probe_source": source})
    product = reconstruct(scan, Model(path, provider="cpu"))
    assert product.metadata["probe_source"] == "model"
    expected, _ = probe_in_counts(trained, float((scan.patterns**2).sum() / scan.num_patterns))
    np.testing.assert_allclose(product.probe, expected, rtol=1e-5)


def test_the_object_is_tested_against_the_patterns_where_there_is_a_probe(model):
    scan, _ = make_scan()
    assert reconstruct(scan, model).pattern_residuals is None
    probe = np.ones((1, SIDE, SIDE), np.complex64)
    product = reconstruct(
        dataclasses.replace(scan, probe=probe), model, ReconstructionOptions(residual_patterns=20)
    )
    assert np.isfinite(product.pattern_residuals).sum() == 20
    assert product.metadata["residual_patterns"] == 20
    assert product.metadata["residual"] > 0
    untested = reconstruct(
        dataclasses.replace(scan, probe=probe), model, ReconstructionOptions(residual_patterns=0)
    )
    assert "residual" not in untested.metadata
    with pytest.raises(ValueError, match="`residual_patterns` is -1"):
        reconstruct(scan, model, ReconstructionOptions(residual_patterns=-1))
