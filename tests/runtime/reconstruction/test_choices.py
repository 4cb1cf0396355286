"""Choices of a reconstruction, and products that appear while the work goes on."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct, reconstruct_in_steps
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.stitching.patches import patch_weights

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")

NUM, SIDE, PATCH = 50, 8, 4


@pytest.fixture
def scan():
    rng = np.random.default_rng(0)
    corners_px = rng.uniform(0, 20, (NUM, 2))
    return Scan(rng.uniform(0.5, 2, (NUM, SIDE, SIDE)), "amplitude", corners_px)


@pytest.fixture
def model(model_path):
    return Model(model_path(), provider="cpu", num_threads=1)


@pytest.mark.parametrize(("num_steps", "expected"), [(1, [50]), (3, [20, 40, 50]), (99, None)])
def test_steps_grow_evenly_to_the_whole_product(scan, model, num_steps, expected):
    products = list(
        reconstruct_in_steps(scan, model, ReconstructionOptions(batch_size=10), num_steps=num_steps)
    )
    used = [product.num_patterns_used for product in products]
    assert used == (expected or [10, 20, 30, 40, 50])
    assert [product.complete for product in products] == [False] * (len(used) - 1) + [True]
    whole = reconstruct(scan, model, ReconstructionOptions(batch_size=7))
    np.testing.assert_allclose(products[-1].object_, whole.object_, atol=1e-6)
    if len(products) > 1:
        assert (products[0].coverage > 0).sum() < (whole.coverage > 0).sum()


def test_a_closed_generator_computes_no_more(scan, model):
    done = []
    steps = reconstruct_in_steps(
        scan,
        model,
        ReconstructionOptions(batch_size=10),
        num_steps=5,
        progress=lambda num, _: done.append(num),
    )
    next(steps)
    steps.close()
    assert done == [10]


def test_progress_of_two_passes_counts_patterns_once(scan, model):
    done = []
    reconstruct(
        scan,
        model,
        ReconstructionOptions(batch_size=25, align_phase=True),
        progress=lambda *pair: done.append(pair),
    )
    assert done == [(12, 50), (25, 50), (37, 50), (50, 50)]


def test_stopping_in_the_first_of_two_passes_ends_both(scan, model):
    product = reconstruct(
        scan,
        model,
        ReconstructionOptions(batch_size=10, align_phase=True),
        should_stop=lambda: True,
    )
    assert (product.complete, product.num_patterns_used) == (False, 10)


def test_nearest_puts_patches_on_whole_pixels(scan, model):
    near = reconstruct(scan, model, ReconstructionOptions(subpixel="nearest"))
    rounded = Scan(scan.patterns, "amplitude", np.rint(scan.corners_px))
    canvas = near.object_.shape
    by_hand = reconstruct(rounded, model)
    y, x = by_hand.object_corner_px
    height, width = by_hand.object_.shape
    top, left = y - near.object_corner_px[0], x - near.object_corner_px[1]
    np.testing.assert_allclose(
        near.object_[top : top + height, left : left + width],
        by_hand.object_[: canvas[0] - top, : canvas[1] - left],
        atol=1e-6,
    )
    assert abs(near.object_ - reconstruct(scan, model).object_).max() > 0.01


def test_hann_leaves_the_probe_out(scan, model):
    probe = np.zeros((1, SIDE, SIDE), np.complex64)
    probe[0, 3, 3] = 50
    with_probe = Scan(scan.patterns, "amplitude", scan.corners_px, probe=probe)
    hann = reconstruct(with_probe, model, ReconstructionOptions(patch_weights="hann"))
    np.testing.assert_allclose(hann.object_, reconstruct(scan, model).object_, atol=1e-6)
    assert hann.metadata["patch_weights"] == "hann"
    assert abs(patch_weights(probe, PATCH) - patch_weights(None, PATCH)).max() > 0.1


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="`subpixel` is 'cubic', expected one of: \"sinc\""):
        ReconstructionOptions(subpixel="cubic")


def test_the_command_aligns_when_asked(model_path, tmp_path):
    from typer.testing import CliRunner

    from ptychonyx.cli import app
    from ptychonyx.runtime.formats import load_product, save_scan

    y, x = np.mgrid[0:6, 0:6].reshape(2, -1)
    corners_px = np.stack([y, x], axis=1).astype(np.float64)
    patterns = np.random.default_rng(0).integers(1, 9, (36, SIDE, SIDE), dtype=np.uint16)
    save_scan(Scan(patterns, "counts", corners_px), tmp_path / "scan.npz")
    words = ["reconstruct", str(tmp_path / "scan.npz"), "--quantity", "counts"]
    words += ["-m", str(model_path(num_channels=4)), "-o", str(tmp_path / "product.h5")]
    for options in ([], ["--align-phase"]):
        result = CliRunner().invoke(app, [*words, *options], catch_exceptions=False)
        assert result.exit_code == 0
        assert load_product(tmp_path / "product.h5").metadata["align_phase"] == bool(options)
