"""Ratios of docs/performance.md, with margins so wide that only a regression crosses them."""

from __future__ import annotations

import statistics
import sys
from functools import partial
from pathlib import Path

import end_to_end
import material
import numpy as np
import plain_stitching
import pytest
import stitching

from ptychonyx.runtime.stitching.patches import patch_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")

MODEL = Path(__file__).parents[1] / "models" / "small-pytorch" / "model.onnx"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(material, "MATERIAL", tmp_path)
    monkeypatch.setattr(end_to_end, "BUILD", tmp_path)


def test_a_command_takes_little_longer_than_the_network_alone():
    folder = material.long_scan(2_000)
    turns = [end_to_end.turn(folder, MODEL) for _ in range(2)]
    # measured: about 1.0 times the network and 0.6 s
    spare_s = [1.5 * one["network"] + 3 - one["command"] for one in turns]
    assert max(spare_s) > 0, turns


def test_ten_times_the_patterns_need_no_more_memory(tmp_path):
    peaks = []
    for num in (500, 5_000):
        step_px = material.STEP_PX * (500 / num) ** 0.5
        folder = material.long_scan(num, step_px=step_px, name=f"dense-{num}")
        words = material.command("reconstruct", folder, "-m", MODEL, "-o", tmp_path / "out.h5")
        peaks.append(material.run_cold(words)[1])
    assert peaks[1] < 1.25 * peaks[0], peaks
    assert peaks[1] < 700e6


def test_stitching_is_as_fast_on_a_large_canvas_and_faster_than_a_plain_scatter():
    def median_us(make, corners_px):
        return statistics.median(stitching.speed(make, corners_px) for _ in range(5))

    small, large = (
        median_us(partial(stitching.mosaic_of, side), stitching.raster(side, 512))
        for side in (512, 4096)
    )
    assert large < 2.5 * small, (small, large)
    weights = patch_weights(None, stitching.PATCH_PX)
    corners_px = stitching.corners("random", 28, np.random.default_rng(0))[:128]
    plain = median_us(partial(stitching.Plain, plain_stitching.bilinear, weights), corners_px)
    ours = median_us(partial(stitching.mosaic_of, stitching.SIDE_PX), corners_px)
    assert ours < plain, (ours, plain)  # measured: less than half


@pytest.mark.parametrize(("overlaps", "largest"), [(28, 0.012), (7, 0.025)])
def test_stitching_meets_band_limited_truth(overlaps, largest):
    errors = stitching.errors("random", overlaps, 0.0, "Hann")
    assert errors[stitching.DEFAULT] < largest
    assert errors["bilinear / transfer"] > largest  # what is so much simpler does not


def test_a_peak_is_that_of_the_command_alone():
    ours = np.ones(100_000_000)  # 800 MB, held while the command runs
    peak = material.run_cold([sys.executable, "-c", "print(1)"])[1]
    assert peak < 100e6, (peak, ours.nbytes)
