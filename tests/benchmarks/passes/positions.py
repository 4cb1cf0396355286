"""Displaced positions of the star and its twin, brought back; right ones, left alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime import load_probe
from ptychonyx.runtime.solving.options import Freedom, SolvingOptions
from ptychonyx.runtime.solving.solve import solve

from .records import Row, figure, is_missing, keep, load, ratio, verdict
from .star import against_reference, reference_of, scan_named

NAME = "positions"
WINDOW_PX = 64
PASSES = 30
SCATTER_PX = 2.0
STRETCH, TURN_DEG = 0.02, 1.0

Pairs = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Whose positions are wrong, how, and what may move."""

    kind: str
    wrong: str
    freedom: Freedom | None


CASES = tuple(
    Case(*each)
    for each in (
        ("twin", "none", None),
        ("twin", "none", "free"),
        ("twin", "scattered", "free"),
        ("twin", "stretched", "affine"),
        ("twin", "turned", "rigid"),
        ("star", "none", None),
        ("star", "none", "free"),
        ("star", "scattered", None),
        ("star", "scattered", "free"),
    )
)


def run(*, again: bool) -> None:
    """Solve each case, and report."""
    for case in CASES:
        key = f"{case.kind}-{case.wrong}-{case.freedom}"
        if is_missing(NAME, key, again=again):
            keep(NAME, {"key": key} | measure(case))
    report()


def measure(case: Case) -> Row:
    """Displace the positions of a scan, solve it, and compare positions and object."""
    scan = scan_named(case.kind, WINDOW_PX)
    around_px = scan.corners_px - scan.corners_px.mean(axis=0)
    displaced_px = displacements(case.wrong, around_px)
    options = SolvingOptions(passes=PASSES, refine_positions=case.freedom)
    product = solve(
        replace(scan, corners_px=scan.corners_px + displaced_px),
        options,
        probe=load_probe(reference_of(WINDOW_PX)),
    )
    left_px = product.corners_px - scan.corners_px
    left_px -= left_px.mean(axis=0)
    fitted, *_ = np.linalg.lstsq(around_px, left_px, rcond=None)
    score = against_reference(product, WINDOW_PX)
    return {
        "displaced_px": rms(displaced_px),
        "left_px": rms(left_px),
        "median_left_px": float(np.median(np.linalg.norm(left_px, axis=1))),
        "left_stretch": float(np.abs(np.linalg.eigvalsh((fitted + fitted.T) / 2)).max()),
        "left_turn_deg": float(np.rad2deg(abs(fitted[0, 1] - fitted[1, 0]) / 2)),
        "at_bound": product.metadata.get("positions_at_bound", ""),
        "residual": product.metadata["residual"],
        "error": score.complex_nrmse,
        "seconds": product.metadata["total_s"],
    }


def displacements(wrong: str, around_px: Pairs) -> Pairs:
    """Return how far each position is moved: none, scattered, turned, or turned and stretched."""
    if wrong == "scattered":
        noise = np.random.default_rng(5).normal(size=around_px.shape)
        return noise * SCATTER_PX / rms(noise)
    turn = np.deg2rad(TURN_DEG)
    map_ = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    scale = {"none": 0.0, "turned": 1.0, "stretched": 1 + STRETCH}[wrong]
    return around_px @ (scale * map_ - np.eye(2)).T if scale else np.zeros_like(around_px)


def rms(vectors_px: Pairs) -> float:
    """Return the root mean square length of vectors (n, 2)."""
    return float(np.sqrt(np.square(vectors_px).sum(axis=1).mean()))


def report() -> None:
    """Print what is left of each displacement beside its bound."""
    rows = load(NAME)
    for key, row in rows.items():
        print(
            f"{key:24} {row['displaced_px']:.3f} px → {row['left_px']:.3f} px (median "
            f"{row['median_left_px']:.3f}), residual {100 * row['residual']:.3f} %, error "
            f"{row['error']:.4f}, at the bound: {row['at_bound'] or 'none'}"
        )

    def of(key: str, field: str) -> float | None:
        return figure(rows, key, field)

    verdict("twin scattered by 2 px: px left", of("twin-scattered-free", "left_px"), 0.2)
    verdict("twin undisturbed: px moved", of("twin-none-free", "left_px"), 0.1)
    errors = ratio(of("twin-none-free", "error"), of("twin-none-None", "error"))
    verdict("twin undisturbed: error, times that without", errors, 1.0)
    verdict("twin stretched: stretch left", of("twin-stretched-affine", "left_stretch"), 0.002)
    verdict("twin stretched: degrees left", of("twin-stretched-affine", "left_turn_deg"), 0.1)
    verdict("twin turned: degrees left", of("twin-turned-rigid", "left_turn_deg"), 0.1)
    residuals = ratio(of("star-scattered-free", "residual"), of("star-none-None", "residual"))
    verdict("star scattered: residual, times undisturbed", residuals, 1.05)
