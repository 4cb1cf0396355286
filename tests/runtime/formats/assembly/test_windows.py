"""Smaller patterns are of the same experiment: counts, positions, probe and pixel fit each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import load_scan, save_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats.assembly.windows import Windows, cut_scan, find_beam
from ptychonyx.runtime.scan import Frame, Scan

SIDE, SMALL = 32, 16


def patterns_of(
    probe: NDArray[np.complex64], object_: NDArray[Any], corners: NDArray[np.int64]
) -> NDArray[np.float64]:
    side = probe.shape[-1]
    exits = np.stack([probe * object_[y : y + side, x : x + side] for y, x in corners])
    far = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(exits, (1, 2)), norm="ortho"), (1, 2))
    return np.abs(far) ** 2


@pytest.fixture
def smooth_scan() -> Scan:
    """A scan whose exit waves fit into the middle of the detector."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    probe = np.exp(-(y**2 + x**2) / 40).astype(np.complex64)
    rows, columns = np.mgrid[:80, :90]
    object_ = np.exp(0.4j * np.sin(rows / 9) + 0.3j * np.cos(columns / 11))
    corners = np.array([[0, 0], [4, 10], [20, 6], [40, 50], [48, 2]])
    patterns = patterns_of(probe, object_, corners)
    frame = Frame((80, 90), (1e-6, -2e-6), (1e-8, 1e-8))
    return Scan(
        patterns,
        "counts",
        corners.astype(np.float64),
        probe=probe[None],
        object_=object_.astype(np.complex64),
        bad_pixels=np.eye(SIDE, dtype=bool),
        pixel_size_m=1e-8,
        frame=frame,
    )


def test_a_cropped_scan_obeys_the_same_forward_model(smooth_scan: Scan) -> None:
    small = cut_scan(smooth_scan, SMALL, None)
    assert small.window_px == SMALL
    assert small.probe is not None
    assert smooth_scan.object_ is not None
    coarse = smooth_scan.object_[::2, ::2]  # its pixels are twice as large
    corners = small.corners_px.astype(np.int64)
    np.testing.assert_array_equal(corners, small.corners_px)
    expected = patterns_of(small.probe[0], coarse, corners)
    np.testing.assert_allclose(small.patterns[:], expected, atol=2e-4 * expected.max())
    assert small.pixel_size_m == pytest.approx(2e-8)
    assert small.frame is not None
    assert small.frame.canvas_shape == (40, 45)
    assert small.object_ is None


def test_a_binned_scan_sums_counts_and_shows_less_of_the_object(smooth_scan: Scan) -> None:
    small = cut_scan(smooth_scan, None, 2)
    whole = np.asarray(smooth_scan.patterns[:])
    by_hand = whole[:, ::2, ::2] + whole[:, 1::2, ::2] + whole[:, ::2, 1::2] + whole[:, 1::2, 1::2]
    np.testing.assert_allclose(small.patterns[:], by_hand, rtol=1e-12)
    np.testing.assert_array_equal(small.corners_px, smooth_scan.corners_px + 8)
    assert small.pixel_size_m == smooth_scan.pixel_size_m
    assert small.probe is not None
    assert smooth_scan.probe is not None
    np.testing.assert_array_equal(small.probe, smooth_scan.probe[:, 8:24, 8:24])
    np.testing.assert_array_equal(small.bad_pixels, np.eye(SMALL, dtype=bool))
    np.testing.assert_array_equal(small.object_, smooth_scan.object_)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_sums_never_wrap(dtype: type, smooth_scan: Scan) -> None:
    patterns: NDArray[Any] = np.full((5, SIDE, SIDE), 250, dtype)
    small = cut_scan(replace(smooth_scan, patterns=patterns), None, 4)
    assert np.all(small.patterns[1:3] == 16 * 250)
    assert small.patterns[0:1].dtype == small.patterns.dtype


def test_amplitudes_are_binned_by_their_squares(smooth_scan: Scan) -> None:
    counts = np.asarray(smooth_scan.patterns[:])
    amplitudes = replace(smooth_scan, patterns=np.sqrt(counts), quantity="amplitude")
    of_counts = cut_scan(smooth_scan, 24, 2).patterns[:]
    np.testing.assert_allclose(cut_scan(amplitudes, 24, 2).patterns[:] ** 2, of_counts, rtol=1e-6)


def test_windows_are_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(7 * 6 * 8).reshape(7, 6, 8)
    monkeypatch.setattr("ptychonyx.runtime.formats.assembly.windows.BATCH_BYTES", 800)
    windows = Windows(images, (1, 2), 4)
    np.testing.assert_array_equal(windows[1:6], images[1:6, 1:5, 2:6])
    np.testing.assert_array_equal(windows[np.array([6, 0])], images[[6, 0], 1:5, 2:6])


@pytest.mark.parametrize(("crop", "bins"), [(15, None), (34, None), (None, 5), (None, 32), (24, 7)])
def test_what_cannot_be_cut(crop: int | None, bins: int | None, smooth_scan: Scan) -> None:
    with pytest.raises(ScanError, match=r"but the patterns are .* is needed: give another"):
        cut_scan(smooth_scan, crop, bins)


def test_any_format_is_cut(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path / "folder")
    save_scan(small_scan, tmp_path / "scan.npz")
    for name in ("folder", "scan.npz"):
        cut = load_scan(tmp_path / name, quantity="counts", crop_px=24, bin=2)
        expected = np.asarray(small_scan.patterns[0:40])[:, 4:28, 4:28]
        expected = expected.reshape(40, 12, 2, 12, 2).sum((2, 4))
        np.testing.assert_array_equal(cut.patterns[:], expected)
        np.testing.assert_allclose(cut.corners_px, small_scan.corners_px * 0.75 + 6, atol=1e-6)


def test_gaps_and_empty_images_do_not_move_the_beam() -> None:
    images = np.zeros((4, 30, 40), np.uint16)
    images[1:, 10:15, 20:27] = 9
    images[:, :3] = 65535
    assert find_beam(images) == (12, 23)
    assert find_beam(np.zeros((1, 8, 10))) == (4, 5)
