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
from ptychonyx.runtime.plot import plot_comparison, plot_object, plot_scan
from ptychonyx.runtime.scan import Quantity, Scan

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


@pytest.mark.parametrize("quantity", ["counts", "amplitude"])
@pytest.mark.parametrize("is_rich", [True, False])
def test_scan(tmp_path: Path, quantity: Quantity, is_rich: bool) -> None:
    rng = np.random.default_rng(2)
    extras: dict[str, Any] = {
        "probe": (rng.normal(size=(2, 16, 16)) + 0j).astype(np.complex64),
        "object_": example_object(rng).astype(np.complex64),
        "bad_pixels": np.eye(16, dtype=bool),
        "pixel_size_m": 1e-8,
    }
    corners_px = rng.uniform(0, 20, (45, 2))
    scan = Scan(rng.poisson(3.0, (45, 16, 16)), quantity, corners_px, **(extras if is_rich else {}))
    plot_scan(scan, tmp_path / "scan.png")
    assert is_png(tmp_path / "scan.png")


@pytest.mark.parametrize(("largest_rad", "is_cyclic"), [(3.1, True), (1.0, False)])
def test_phases_that_meet_at_pi_get_one_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest_rad: float, is_cyclic: bool
) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
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
