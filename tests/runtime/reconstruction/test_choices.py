"""A choice of how patches are placed and weighed changes the product in the way it says."""

from __future__ import annotations

import numpy as np
import pytest
from image_scan import PATCH, SIDE

from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
from ptychonyx.runtime.scaling import counts_per_pattern
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.stitching.patches import patch_weights

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


def test_nearest_puts_patches_on_whole_pixels(scan: Scan, model: Model) -> None:
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


def test_hann_leaves_the_probe_out(scan: Scan, model: Model) -> None:
    probe = np.zeros((1, SIDE, SIDE), np.complex64)
    probe[0, 3, 3] = np.sqrt(counts_per_pattern(scan))
    with_probe = Scan(scan.patterns, "amplitude", scan.corners_px, probe=probe)
    hann = reconstruct(with_probe, model, ReconstructionOptions(patch_weights="hann"))
    np.testing.assert_allclose(hann.object_, reconstruct(scan, model).object_, atol=1e-6)
    assert hann.metadata["patch_weights"] == "hann"
    assert abs(patch_weights(probe, PATCH) - patch_weights(None, PATCH)).max() > 0.1
