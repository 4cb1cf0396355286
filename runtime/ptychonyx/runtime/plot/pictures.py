"""Draw objects and comparisons."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..comparison.metrics import Comparison
from ..comparison.region import clipped_limits, known_box, without_common_phase
from ..comparison.ring_correlation import half_bit_period_px
from .drawing import draw
from .maps import amplitude_and_phase, hidden, phase_cmap
from .panels import Arrows, Curves, Panel, Points, image_panel

_ENLARGED = (1, 2, 5, 10, 20, 50, 100)


def plot_object(
    object_: NDArray[np.complexfloating[Any, Any]],
    path: str | PathLike[str],
    *,
    coverage: NDArray[np.integer[Any]] | None = None,
    disagreement: NDArray[np.floating[Any]] | None = None,
    residuals: tuple[NDArray[np.float64], NDArray[np.floating[Any]]] | None = None,
    moves: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    brightness: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    background: NDArray[np.float32] | None = None,
    pass_residuals: NDArray[np.floating[Any]] | None = None,
    ring_correlation: NDArray[np.float64] | None = None,
    pixel_size_m: float | None = None,
    title: str = "",
) -> None:
    """Draw amplitude and phase of an object, and those maps and curves of it that are given.

    Parameters
    ----------
    object_ : complex array, shape (H, W)
        Transmission; the picture shows it without its common phase.
    path : path
        Picture to write; the suffix (.png, .pdf, .svg) decides the format.
    coverage : int array, shape (H, W), or None
        Patches at each pixel. The picture is cut to the covered pixels, and stays empty where the
        coverage is 0.
    disagreement : float array, shape (H, W), or None
        Variance of the overlapping patches; drawn as standard deviation.
    residuals : (float array, shape (n, 2), float array, shape (n,)), or None
        Window centers (y, x) in pixels of the object, and the share of each pattern that the object
        leaves unexplained; NaN is not drawn.
    moves : (float array, shape (n, 2), float array, shape (n, 2)), or None
        Window centers (y, x) in pixels of the object as the scan has them, and how far each was
        moved; drawn below as arrows.
    brightness : (float array, shape (n, 2), float array, shape (n,)), or None
        Window centers (y, x) in pixels of the object, and how bright each pattern is beside the mean
        one; drawn below.
    background : float array, shape (N, N), or None
        Counts that are in every pattern; drawn below.
    pass_residuals : float array, shape (passes,), or None
        Share of the patterns that was unexplained during each pass of a solver; drawn below, on a
        logarithmic axis. 0 and NaN are not drawn.
    ring_correlation : float array, shape (3, rings), or None
        Frequencies in cycles per pixel, correlation of two halves and threshold, as a product has
        them; drawn below, with the period where they cross.
    pixel_size_m : float or None
        Side of a pixel, for axes in µm; else they are in pixels.
    title : str
        Line above the panels.

    Raises
    ------
    ValueError
        If shapes differ or nothing is covered.
    RuntimeError
        If matplotlib is not installed.
    """
    for name, array in (("coverage", coverage), ("disagreement", disagreement)):
        if array is not None and array.shape != object_.shape:
            raise ValueError(
                f"`{name}` has shape {array.shape}, expected {object_.shape} as `object_`."
            )
    known = np.ones(object_.shape, np.bool_) if coverage is None else coverage > 0
    if not known.any():
        raise ValueError(
            "`coverage` is 0 everywhere, so there is nothing to draw; at least one covered pixel "
            "is needed: check the corners."
        )
    region = known_box(known)
    box, corner_px = region.slices, (region.y0, region.x0)
    amplitude, phase = amplitude_and_phase(object_, known)
    panels: list[Panel] = [
        image_panel("amplitude", amplitude[box], "gray", "", corner_px, pixel_size_m),
        image_panel("phase", phase[box], phase_cmap(phase), "rad", corner_px, pixel_size_m),
    ]
    if coverage is not None:
        counts = hidden(coverage, known)
        panels.append(
            image_panel("coverage", counts[box], "cividis", "patches", corner_px, pixel_size_m)
        )
    if disagreement is not None:
        deviation = hidden(np.sqrt(disagreement), known)
        panels.append(
            image_panel(
                "disagreement of patches", deviation[box], "magma", "σ", corner_px, pixel_size_m
            )
        )
    if residuals is not None:
        centers_px, shares = residuals
        seen = np.isfinite(shares)
        percent = 100 * shares[seen]
        panels.append(Points("unexplained", centers_px[seen], percent, "magma", "%", pixel_size_m))
    curves: list[Panel] = [] if moves is None else [_arrows(*moves, pixel_size_m)]
    if brightness is not None:
        centers_px, factors = brightness
        curves.append(Points("brightness", centers_px, factors, "cividis", "", pixel_size_m))
    if background is not None:
        curves.append(image_panel("background", background, "magma", "counts", (0, 0), None))
    if ring_correlation is not None:
        curves.append(_rings(ring_correlation, pixel_size_m))
    if pass_residuals is not None and (pass_residuals > 0).any():
        curves.append(_passes(pass_residuals))
    draw([panels, curves] if curves else [panels], path, title)


def _arrows(
    centers_px: NDArray[np.float64], moves_px: NDArray[np.float64], pixel_size_m: float | None
) -> Arrows:
    """Return moves as arrows of which a usual one is about as long as a step of the scan."""
    step_px = np.sqrt(np.prod(np.ptp(centers_px, axis=0) + 1) / len(centers_px))
    rms_px = float(np.sqrt(np.square(moves_px).sum(axis=1).mean()))
    wanted = step_px / max(rms_px, 1e-9)
    enlarged = max((each for each in _ENLARGED if each <= wanted), default=1)
    title = "positions moved" + (f", arrows ×{enlarged}" if enlarged > 1 else "")
    return Arrows(title, centers_px, moves_px, enlarged, pixel_size_m)


def _rings(curve: NDArray[np.float64], pixel_size_m: float | None) -> Curves:
    frequencies, correlation, threshold = curve
    period_px = half_bit_period_px(curve)
    period_nm = None if pixel_size_m is None else period_px * pixel_size_m * 1e9
    return Curves(
        "two halves: ring correlation",
        frequencies,
        {"correlation": correlation, "half-bit threshold": threshold},
        "frequency (cycles/px)",
        "correlation",
        marked=(1 / period_px, _period(period_px, period_nm)),
    )


def _period(period_px: float, period_nm: float | None) -> str:
    return f"{period_px:.2f} px" + ("" if period_nm is None else f" = {period_nm:.3g} nm")


def _passes(residuals: NDArray[np.floating[Any]]) -> Curves:
    numbers = np.arange(1, len(residuals) + 1)
    drawn = residuals > 0
    return Curves(
        "unexplained during each pass",
        numbers[drawn],
        {"unexplained": 100 * residuals[drawn]},
        "pass",
        "%",
        is_log=True,
    )


def plot_comparison(
    comparison: Comparison,
    path: str | PathLike[str],
    *,
    pixel_size_m: float | None = None,
    names: tuple[str, str] = ("object", "reference"),
) -> None:
    """Draw two aligned objects side by side on one colour scale, and their difference.

    Parameters
    ----------
    comparison : Comparison
        From `compare_objects`; its metrics are written above the panels.
    path : path
        Picture to write; the suffix decides the format.
    pixel_size_m : float or None
        Side of a pixel, for axes in µm; else they are in pixels.
    names : (str, str)
        Names of the first object and of the reference, for the titles.

    Raises
    ------
    RuntimeError
        If matplotlib is not installed.
    """
    aligned = comparison.aligned
    corner_px = (aligned.region.y0, aligned.region.x0)
    known = aligned.is_valid
    a = without_common_phase(aligned.a, known, reference=aligned.b)
    b = without_common_phase(aligned.b, known)
    cmap_of_phase = phase_cmap(hidden(np.angle(b), known))
    rows = []
    for quantity, of_a, of_b, difference, cmap, unit, score in (
        ("amplitude", np.abs(a), np.abs(b), np.abs(a) - np.abs(b), "gray", "",
         (comparison.amplitude_pearson, comparison.amplitude_ssim)),
        ("phase", np.angle(a), np.angle(b), np.angle(a * np.conj(b)), cmap_of_phase, "rad",
         (comparison.phase_pearson, comparison.phase_ssim)),
    ):  # fmt: skip
        limits = clipped_limits(hidden(of_b, known))
        largest = max(abs(limit) for limit in clipped_limits(hidden(difference, known))) or 1.0
        rows.append(
            [
                image_panel(f"{name}: {quantity}", hidden(values, known), cmap, unit, corner_px,
                       pixel_size_m, limits)
                for name, values in zip(names, (of_a, of_b), strict=True)
            ]
            + [
                image_panel(f"a − b: r = {score[0]:.3f}, SSIM = {score[1]:.3f}",
                       hidden(difference, known), "RdBu_r", unit, corner_px, pixel_size_m,
                       (-largest, largest))
            ]
        )  # fmt: skip
    resolution = _period(comparison.frc_half_bit_px, comparison.frc_half_bit_nm)
    draw(
        rows,
        path,
        f"complex NRMSE {comparison.complex_nrmse:.3f}   ·   phase error "
        f"{comparison.phase_mae_rad:.3f} rad   ·   half-bit period {resolution}   ·   "
        f"region {comparison.region}",
    )
