"""Pictures are written, name what is missing, and load matplotlib only when drawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.comparison.metrics import compare_objects
from ptychonyx.runtime.plot import plot_comparison, plot_object

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def example_object(rng: np.random.Generator) -> NDArray[np.complex128]:
    return np.exp(0.3j * rng.normal(size=(40, 50)))


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


@pytest.mark.parametrize("pixel_size_m", [None, 2e-8])
def test_object(tmp_path: Path, pixel_size_m: float | None) -> None:
    rng = np.random.default_rng(0)
    coverage = np.zeros((40, 50), int)
    coverage[5:30, 6:40] = 3
    plot_object(
        example_object(rng),
        tmp_path / "object.png",
        coverage=coverage,
        disagreement=rng.random((40, 50)),
        pixel_size_m=pixel_size_m,
        title="example",
    )
    assert is_png(tmp_path / "object.png")


def test_object_alone_and_as_pdf(tmp_path: Path) -> None:
    plot_object(np.ones((8, 8), complex), tmp_path / "flat.pdf")
    assert (tmp_path / "flat.pdf").read_bytes().startswith(b"%PDF")


def test_object_refuses_what_it_cannot_draw(tmp_path: Path) -> None:
    object_ = np.ones((8, 8), complex)
    with pytest.raises(ValueError, match=r"`coverage` has shape \(3, 3\)"):
        plot_object(object_, tmp_path / "a.png", coverage=np.ones((3, 3), int))
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_object(object_, tmp_path / "a.png", coverage=np.zeros((8, 8), int))


def test_comparison(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    b = example_object(np.random.default_rng(1))
    comparison = compare_objects(b, b, corner_a=(0, 0), corner_b=(0, 0), pixel_size_m=1e-8)
    plot_comparison(comparison, tmp_path / "c.png")
    assert is_png(tmp_path / "c.png")


@pytest.mark.parametrize(("pixel_size_m", "words"), [(None, "4.00 px"), (2e-8, "4.00 px = 80 nm")])
def test_the_crossing_of_the_ring_correlation_is_marked(
    figures: list[Any], tmp_path: Path, pixel_size_m: float | None, words: str
) -> None:
    frequencies = np.linspace(0, 0.5, 11)
    curve = np.stack([frequencies, 1 - 2 * frequencies, np.full(11, 0.5)])
    plot_object(
        np.ones((8, 8), complex),
        tmp_path / "a.png",
        ring_correlation=curve,
        pixel_size_m=pixel_size_m,
    )
    (axes,) = (axes for axes in figures[0].axes if axes.get_xlabel() == "frequency (cycles/px)")
    correlation, threshold, mark = axes.lines
    np.testing.assert_array_equal(correlation.get_xydata().T, curve[:2])
    np.testing.assert_array_equal(threshold.get_ydata(), curve[2])
    np.testing.assert_allclose(mark.get_xdata(), 0.25)
    assert mark.get_label() == words


def test_residuals_of_passes_are_drawn_in_percent_on_a_logarithmic_axis(
    figures: list[Any], tmp_path: Path
) -> None:
    residuals = np.array([0.5, 0.05, np.nan, 0.01])
    plot_object(np.ones((8, 8), complex), tmp_path / "a.png", pass_residuals=residuals)
    (axes,) = (axes for axes in figures[0].axes if axes.get_xlabel() == "pass")
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 50], [2, 5], [4, 1]])
    assert axes.get_yscale() == "log"


def test_all_that_a_solved_product_has_fits_into_one_picture(tmp_path: Path) -> None:
    frequencies = np.linspace(0, 0.5, 11)
    plot_object(
        example_object(np.random.default_rng(0)),
        tmp_path / "a.png",
        coverage=np.ones((40, 50), int),
        pass_residuals=np.array([0.5]),
        ring_correlation=np.stack([frequencies, np.ones(11), np.full(11, 0.5)]),
    )
    assert is_png(tmp_path / "a.png")


@pytest.mark.parametrize(("largest_rad", "is_cyclic"), [(3.1, True), (1.0, False)])
def test_phases_that_meet_at_pi_get_one_colour(
    figures: list[Any], tmp_path: Path, largest_rad: float, is_cyclic: bool
) -> None:
    phase = np.tile(np.linspace(-largest_rad, largest_rad, 1000), (8, 1))
    plot_object(np.exp(1j * phase), tmp_path / "a.png")
    (drawn,) = (axes for axes in figures[0].axes if axes.get_title() == "phase")
    (image,) = drawn.images
    lowest, highest = image.to_rgba(np.array([-largest_rad, largest_rad]))
    assert (np.abs(lowest - highest).max() < 0.05) == is_cyclic


def test_missing_matplotlib_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RuntimeError, match=r"pip install \"ptychonyx\[plot\]\""):
        plot_object(np.ones((8, 8), complex), tmp_path / "a.png")


def test_importing_and_drawing_leave_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from ptychonyx.runtime.plot import plot_object;"
        "assert 'matplotlib' not in sys.modules;"
        "plot_object(np.ones((8, 8), complex), sys.argv[1]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)


@pytest.mark.parametrize("moved_px", [0.0, 0.3, 20.0])
def test_moves_of_positions_are_drawn(tmp_path: Path, moved_px: float) -> None:
    rng = np.random.default_rng(0)
    moves = (rng.uniform(0, 40, (30, 2)), np.full((30, 2), moved_px))
    object_ = example_object(rng)
    plot_object(object_, tmp_path / "with.png", moves=moves, pixel_size_m=1e-8)
    plot_object(object_, tmp_path / "without.png", pixel_size_m=1e-8)
    assert (tmp_path / "with.png").stat().st_size > 1.2 * (tmp_path / "without.png").stat().st_size
