"""What is decided before the first batch: fit, groups, the probe that weighs patches and is stored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from image_scan import SIDE, make_scan
from model_files import ModelPath
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
from ptychonyx.runtime.scaling import probe_in_counts
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.stitching.patches import patch_weights

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


def test_scan_that_does_not_fit_is_refused(model: Model, model_path: ModelPath) -> None:
    other = Scan(np.ones((2, 16, 16)), "counts", np.zeros((2, 2)), name="wide")
    with pytest.raises(ValueError, match=r"'wide' are 16×16.*'tiny' takes 8×8.*N = 16"):
        reconstruct(other, model)
    sparse = dataclasses.replace(make_scan()[0], corners_px=make_scan()[0].corners_px * 3)
    with pytest.raises(ScanError, match=r"neighbours within 2 px.*a group of 4.*smaller ones, or"):
        reconstruct(sparse, Model(model_path(num_channels=4), provider="cpu"))


def gaussian_probe(width: float = 1.0) -> NDArray[np.complex64]:
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    return np.exp(-(y**2 + x**2) / (2 * width**2)).astype(np.complex64)[None]


def test_probe_of_the_file_comes_first(model_path: ModelPath) -> None:
    model = Model(model_path(probe=gaussian_probe(3.0)), provider="cpu")
    scan, _ = make_scan(probe=gaussian_probe() * np.complex64(100))
    product = reconstruct(scan, model)
    assert product.metadata["probe_source"] == "file"
    counts = float(np.square(scan.patterns[:].astype(np.float64)).sum() / scan.num_patterns)
    assert scan.probe is not None
    expected, ratio = probe_in_counts(scan.probe, counts)
    assert ratio > 4
    assert product.metadata["probe_counts_ratio"] == pytest.approx(ratio)
    np.testing.assert_allclose(product.probe, expected)
    assert np.sum(np.abs(product.probe) ** 2) == pytest.approx(counts, rel=1e-5)


def test_probe_of_the_model_comes_second_and_the_estimate_last(
    model: Model, model_path: ModelPath, caplog: pytest.LogCaptureFixture
) -> None:
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


@pytest.mark.parametrize("source", ["trained", "given"])
def test_a_probe_given_to_or_trained_with_the_network_is_the_one_stored(
    source: str, model_path: ModelPath
) -> None:
    rng = np.random.default_rng(3)
    scan, _ = make_scan()
    scan = dataclasses.replace(scan, probe=rng.random((1, SIDE, SIDE)).astype(np.complex64))
    trained = rng.random((2, SIDE, SIDE)).astype(np.complex64)
    path = model_path(probe=trained, training_summary={"probe_source": source})
    product = reconstruct(scan, Model(path, provider="cpu"))
    assert product.metadata["probe_source"] == "model"
    expected, _ = probe_in_counts(trained, float((scan.patterns[:] ** 2).sum() / scan.num_patterns))
    np.testing.assert_allclose(product.probe, expected, rtol=1e-5)


def test_the_probe_weighs_the_patches(model: Model) -> None:
    """Two patches that disagree: a pixel of both follows the one under the brighter beam."""
    patterns = np.ones((2, SIDE, SIDE), np.float32)
    patterns[1] = 3
    probe = np.full((1, SIDE, SIDE), 0.1, np.complex64)
    probe[0, :, :4] = 1  # bright left half: columns 2 and 3 are the left half of the central 4×4
    scan = Scan(patterns, "amplitude", np.array([[0.0, 0.0], [0.0, 2.0]]), probe=probe)
    row = reconstruct(scan, model, ReconstructionOptions(scale=1.0)).object_[4].real
    weights = patch_weights(probe, SIDE // 2)[2]  # columns 4 and 5 of the canvas are in both
    both = (weights[2:] + 3 * weights[:2]) / (weights[2:] + weights[:2])
    # the probe has another power than the counts, which is one factor on all of the object
    np.testing.assert_allclose(row[2:8] / row[2], [1, 1, *both, 3, 3], atol=1e-5)
    assert both.min() > 2.2
