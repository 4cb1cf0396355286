"""The picture of a scan shows where it disagrees with itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import Turn
from ptychonyx.runtime.plausibility import look_at
from ptychonyx.runtime.plot import plot_scan
from ptychonyx.runtime.scan import Quantity, Scan

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.mark.parametrize("quantity", ["counts", "amplitude"])
@pytest.mark.parametrize("is_rich", [True, False])
def test_a_picture_is_written(tmp_path: Path, quantity: Quantity, is_rich: bool) -> None:
    rng = np.random.default_rng(2)
    extras: dict[str, Any] = {
        "probe": (rng.normal(size=(2, 16, 16)) + 0j).astype(np.complex64),
        "object_": np.exp(0.3j * rng.normal(size=(40, 50))).astype(np.complex64),
        "bad_pixels": np.eye(16, dtype=bool),
        "pixel_size_m": 1e-8,
    }
    corners_px = rng.uniform(0, 20, (45, 2))
    scan = Scan(rng.poisson(3.0, (45, 16, 16)), quantity, corners_px, **(extras if is_rich else {}))
    plot_scan(scan, tmp_path / "scan.png")
    assert (tmp_path / "scan.png").read_bytes().startswith(b"\x89PNG")


def spoilt(scan: Scan) -> Scan:
    patterns = np.array(scan.patterns)
    patterns[9] = 0
    patterns[20:22] *= 50
    patterns[:, 4:6] = 2**32 - 1
    bad = np.zeros((32, 32), np.bool_)
    bad[:, 30] = True
    corners_px = scan.corners_px.copy()
    corners_px[7] = 2e4
    return replace(scan, patterns=patterns, bad_pixels=bad, corners_px=corners_px, frame=None)


def panel(figure: Any, title: str) -> Any:
    (axes,) = (axes for axes in figure.axes if axes.get_title().startswith(title))
    return axes


def labels(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def points(axes: Any, label: str) -> NDArray[np.float64]:
    (found,) = (each for each in axes.collections if each.get_label() == label)
    return np.asarray(found.get_offsets())[:, ::-1]


def test_what_is_odd_is_marked_where_it_is(
    figures: list[Any], small_scan: Scan, tmp_path: Path
) -> None:
    scan = replace(spoilt(small_scan), pixel_size_m=None)
    plot_scan(scan, tmp_path / "a.png")
    (figure,) = figures
    title = figure.get_suptitle()
    assert "WRONG: position-outliers" in title
    assert "odd: gap-pixels, empty-patterns, outlier-patterns" in title
    mean = panel(figure, "mean pattern")
    assert labels(mean) == ["bad in the file (32)", "gaps found (62)", "pixel N/2"]
    assert np.isnan(mean.images[0].get_array().filled(np.nan)[4:6]).all()
    path, centers_px = panel(figure, "path"), scan.corners_px + 16
    left_out = {"no light, left out (1)": [9], "too bright, left out (2)": [20, 21]}
    for label, indexes in left_out.items():
        np.testing.assert_allclose(points(path, label), centers_px[indexes])
    (far,) = points(path, "far outside (1)")
    near = np.delete(centers_px, 7, axis=0)
    assert (far > near.max(axis=0)).all()
    assert (far < near.max(axis=0) + 20).all()  # on the border, so that the others can be seen


def test_the_share_of_saturated_patterns_is_drawn(
    figures: list[Any], small_scan: Scan, tmp_path: Path
) -> None:
    patterns = np.array(small_scan.patterns)
    clip = int(np.percentile(patterns.max(axis=(1, 2)), 20))
    plot_scan(replace(small_scan, patterns=np.minimum(patterns, clip)), tmp_path / "a.png")
    (image,) = panel(figures[0], "saturated").images
    expected = 100 * (patterns >= clip).mean(axis=0)
    np.testing.assert_allclose(image.get_array(), expected)
    plot_scan(small_scan, tmp_path / "a.png")
    assert not [axes for axes in figures[1].axes if axes.get_title().startswith("saturated")]


@pytest.mark.parametrize(("turn", "lowest", "highest"), [(Turn(), 0, 0.5), (Turn(flip="x"), 1, 60)])
def test_what_each_pattern_leaves_is_drawn_over_the_scan(
    turn: Turn, lowest: float, highest: float, figures: list[Any], small_scan: Scan, tmp_path: Path
) -> None:
    scan = replace(turn.apply(small_scan), pixel_size_m=None)
    plot_scan(scan, tmp_path / "a.png")
    axes = panel(figures[0], "unexplained by probe and object")
    (drawn,) = axes.collections
    np.testing.assert_allclose(drawn.get_offsets()[:, ::-1], scan.corners_px + 16)
    assert lowest < float(np.mean(drawn.get_array())) < highest
    plot_scan(replace(scan, object_=np.ones_like(scan.object_)), tmp_path / "a.png")
    titles = [axes.get_title() for axes in figures[1].axes]
    assert not [title for title in titles if title.startswith("unexplained")]


def test_nothing_is_compared_far_outside_the_object(
    figures: list[Any], small_scan: Scan, tmp_path: Path
) -> None:
    scan = replace(small_scan, corners_px=1e6 * small_scan.corners_px)  # would need 10 TB
    plot_scan(scan, tmp_path / "a.png", checked=look_at(scan))
    assert "WRONG: outside-canvas" in figures[0].get_suptitle()


def test_axes_say_where_they_lead(figures: list[Any], small_scan: Scan, tmp_path: Path) -> None:
    plot_scan(small_scan, tmp_path / "a.png")
    for title in ("mean pattern", "path", "object: phase", "probe mode 1"):
        axes = panel(figures[0], title)
        assert axes.get_xlabel().startswith("x, columns →")
        assert axes.get_ylabel().startswith("← y, rows")
        bottom, top = axes.get_ylim()
        assert bottom > top
