"""Patches of a known model land in the right place, and the product says how they came there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from image_scan import FACTOR, OFFSET, PATCH, SIDE, covered_by, make_scan
from model_files import ModelPath
from mosaics import stitch_patches

from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
from ptychonyx.runtime.scaling import input_scale
from ptychonyx.runtime.scan import Frame
from ptychonyx.runtime.stitching.patches import canvas_for, patch_weights

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_every_patch_lands_where_its_window_lies(model: Model, batch_size: int) -> None:
    scan, image = make_scan()
    product = reconstruct(scan, model, ReconstructionOptions(batch_size=batch_size))
    assert product.object_.shape == image.shape
    assert product.object_corner_px == (-7, 12)
    covered = covered_by(product)
    # the central 4×4 of the windows reaches to 2 pixels from the windows' outer edges
    expected = np.zeros(image.shape, bool)
    expected[OFFSET:-OFFSET, OFFSET : OFFSET + 37] = True
    np.testing.assert_array_equal(covered, expected)
    truth = image * np.float32(input_scale(scan)) * FACTOR
    np.testing.assert_allclose(product.object_[covered], truth[covered], rtol=2e-6)
    np.testing.assert_array_equal(product.object_[~covered], 0)
    assert product.disagreement is not None
    assert product.disagreement.max() < 1e-6


def test_fractional_corners_are_stitched_as_by_hand(model: Model) -> None:
    scan, _ = make_scan(fractional=True)
    product = reconstruct(scan, model, ReconstructionOptions(batch_size=10))
    crops = scan.patterns[:][:, OFFSET : OFFSET + PATCH, OFFSET : OFFSET + PATCH]
    by_hand = stitch_patches(
        crops * np.float32(input_scale(scan)) * FACTOR,
        scan.corners_px + OFFSET,
        canvas=canvas_for(scan),
        weights=patch_weights(None, PATCH),
    )
    np.testing.assert_allclose(product.object_, by_hand.object_, atol=1e-5)
    np.testing.assert_array_equal(product.coverage, by_hand.coverage)


def test_odd_margin_is_rounded_as_in_the_exported_graph(model_path: ModelPath) -> None:
    scan, image = make_scan()
    product = reconstruct(scan, Model(model_path(patch_px=5), provider="cpu"))
    covered = covered_by(product)
    assert covered[1].any()
    assert not covered[0].any()
    truth = image * np.float32(input_scale(scan)) * FACTOR
    np.testing.assert_allclose(product.object_[covered], truth[covered], rtol=2e-6)


def test_the_file_s_own_canvas_is_kept(model: Model) -> None:
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


def test_scale_may_be_given(model: Model) -> None:
    scan, image = make_scan()
    middle = np.s_[10:20, 10:20]
    for scale, used in (("scan", input_scale(scan)), ("trained", 0.25), (3, 3.0)):
        product = reconstruct(scan, model, ReconstructionOptions(scale=scale))
        assert product.metadata["input_scale"] == used
        truth = image * np.float32(used) * FACTOR
        np.testing.assert_allclose(product.object_[middle], truth[middle], rtol=2e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100])
@pytest.mark.parametrize("num_channels", [4, 9])
def test_all_patches_of_every_group_land_where_their_windows_lie(
    model_path: ModelPath, num_channels: int, batch_size: int
) -> None:
    scan, image = make_scan()
    model = Model(model_path(num_channels=num_channels, max_distance_px=9.0), provider="cpu")
    product = reconstruct(scan, model, ReconstructionOptions(batch_size=batch_size))
    covered = covered_by(product)
    truth = image * np.float32(input_scale(scan)) * FACTOR
    np.testing.assert_allclose(product.object_[covered], truth[covered], rtol=3e-6)
    assert (product.complete, product.num_patterns_used) == (True, 144)
    alone = reconstruct(scan, Model(model_path(), provider="cpu"))
    np.testing.assert_array_equal(covered, covered_by(alone))
    # each window is stitched once for its own group, and once for every other that it belongs to
    assert product.coverage is not None
    assert alone.coverage is not None
    assert product.coverage.sum() == num_channels * alone.coverage.sum()


def test_progress_and_what_the_product_says(model: Model) -> None:
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
    assert 0 < float(metadata["infer_s"]) < float(metadata["total_s"])
    assert all(isinstance(value, str | float | int | bool) for value in metadata.values())


def test_stopping_keeps_the_batches_that_are_done(model: Model) -> None:
    scan, _ = make_scan()
    calls: list[None] = []

    def third_time() -> bool:
        calls.append(None)
        return len(calls) == 3

    stopped = reconstruct(
        scan,
        model,
        ReconstructionOptions(batch_size=20),
        should_stop=third_time,
    )
    assert (stopped.complete, stopped.num_patterns_used) == (False, 60)
    part = dataclasses.replace(scan, patterns=scan.patterns[:60], corners_px=scan.corners_px[:60])
    scale = input_scale(scan)
    by_hand = stitch_patches(
        model.predict(part.patterns[:][:, None], scale)[:, 0],
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


def test_the_object_is_tested_against_the_patterns_where_there_is_a_probe(model: Model) -> None:
    scan, _ = make_scan()
    assert reconstruct(scan, model).pattern_residuals is None
    probe = np.ones((1, SIDE, SIDE), np.complex64)
    product = reconstruct(
        dataclasses.replace(scan, probe=probe), model, ReconstructionOptions(residual_patterns=20)
    )
    assert product.pattern_residuals is not None
    assert np.isfinite(product.pattern_residuals).sum() == 20
    assert product.metadata["residual_patterns"] == 20
    assert float(product.metadata["residual"]) > 0
    untested = reconstruct(
        dataclasses.replace(scan, probe=probe), model, ReconstructionOptions(residual_patterns=0)
    )
    assert "residual" not in untested.metadata
    with pytest.raises(ValueError, match="`residual_patterns` is -1"):
        reconstruct(scan, model, ReconstructionOptions(residual_patterns=-1))
