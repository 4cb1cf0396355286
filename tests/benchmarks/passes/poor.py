"""The star and its twin made poor, by every k-th position or fewer photons: what a network gains there.

Each scan is solved with the automatic stop and the reference's probe: with the network that ships, by
passes alone with either weighting of noise, and by passes alone that are smoothed afterwards, where
the strength that comes out best is chosen in hindsight.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import denoise_tv_chambolle

from ptychonyx.runtime import Product, Scan, load_probe
from ptychonyx.runtime.scan import some_of
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve

from .records import Row, is_missing, keep, load, verdict
from .star import reference_of, scan_named, scores

NAME = "poor"
WINDOW_PX = 64
CASES = {
    "every 8th": (8, 1.0, 0.968),
    "every 4th": (4, 1.0, 0.980),
    "1 % of the dose": (1, 0.01, 0.953),
    "0.2 % of the dose": (1, 0.002, 0.915),
    "1 % and every 4th": (4, 0.01, 0.900),
}
"""Case -> which positions, which share of the photons, and the phase Pearson wanted on the star."""
NUM_CHOICES = 3
"""Of positions or of photons, for each case."""
SIGMAS_PX = (0.4, 0.6, 0.8, 1.0, 1.3, 1.7)
TV_WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.4)
WAYS = ("network", "passes", "poisson", "smoothed", "tv")
CLASSICAL = WAYS[1:]

Image = NDArray[np.complex64]


def make_poor(kind: str, every: int, dose: float, choice: int) -> Scan:
    """Return some positions of the star or its twin with fewer photons, and the probe scaled alike.

    Photons are thinned binomially, as a shorter exposure would.
    """
    whole = scan_named(kind, WINDOW_PX)
    scan = some_of(whole, np.arange(choice % every, whole.num_patterns, every))
    probe = load_probe(reference_of(WINDOW_PX)) * np.float32(np.sqrt(dose))
    if dose == 1.0:
        return replace(scan, probe=probe)
    counts = np.rint(np.asarray(scan.patterns[:])).astype(np.int64)
    thinned = np.random.default_rng(choice).binomial(counts, dose)
    return replace(scan, patterns=thinned.astype(np.uint32), probe=probe)


def run(*, again: bool) -> None:
    """Solve what is not on record, and report."""
    for kind in ("star", "twin"):
        for case, (every, dose, _) in CASES.items():
            for choice in range(NUM_CHOICES):
                key = f"{kind}, {case}, {choice}"
                if is_missing(NAME, key, again=again):
                    found = dict(solved(make_poor(kind, every, dose, choice)))
                    keep(NAME, {"key": key, "kind": kind, "case": case} | found)
    report()


def solved(scan: Scan) -> Iterator[tuple[str, Row]]:
    """Yield each way and how close its object comes."""
    for way, options in {
        "network": SolvingOptions(),
        "passes": SolvingOptions(solver="none"),
        "poisson": SolvingOptions(solver="none", noise="poisson"),
    }.items():
        product = solve(scan, options)
        facts = {name: product.metadata.get(name) for name in ("passes", "use_of_network")}
        yield way, scores(product, WINDOW_PX) | facts
        if way == "passes":
            yield "smoothed", best(product, SIGMAS_PX, smoothed)
            yield "tv", best(product, TV_WEIGHTS, with_less_variation)


def best(
    product: Product, strengths: tuple[float, ...], change: Callable[[Image, float], Image]
) -> Row:
    """Return the scores at the strength whose phase is closest, chosen in hindsight."""
    rows = [
        scores(replace(product, object_=change(product.object_, strength)), WINDOW_PX)
        | {"strength": strength}
        for strength in strengths
    ]
    return max(rows, key=lambda row: float(row["phase"]))


def smoothed(object_: Image, sigma_px: float) -> Image:
    """Return an object blurred by a Gaussian."""
    parts = [ndimage.gaussian_filter(part, sigma_px) for part in (object_.real, object_.imag)]
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)


def with_less_variation(object_: Image, weight: float) -> Image:
    """Return an object with less total variation (Chambolle), real and imaginary part together."""
    parts = np.stack([object_.real, object_.imag], axis=-1)
    found = denoise_tv_chambolle(parts, weight=weight, channel_axis=-1)
    return np.asarray(found[..., 0] + 1j * found[..., 1], np.complex64)


def report() -> None:
    """Print medians of all choices with their spread, and the network's beside the wanted phase."""
    rows = list(load(NAME).values())
    for kind in ("star", "twin"):
        for case, (_, _, wanted) in CASES.items():
            chosen = [row for row in rows if (row["kind"], row["case"]) == (kind, case)]
            if not chosen:
                continue
            for way in WAYS:
                print(f"{kind}, {case}, {way}: " + ", ".join(_figures(chosen, way)))
            for name, at_least in (("phase", True), ("amplitude", True), ("error", False)):
                ours, *others = (_median(chosen, way, name) for way in WAYS)
                most = max(others) if at_least else min(others)
                verdict(f"{kind}, {case}: {name} beside the best classical way", ours, most,
                        at_least=at_least)  # fmt: skip
            if kind == "star":
                ours = _median(chosen, "network", "phase")
                verdict(f"{kind}, {case}: phase", ours, wanted, at_least=True)


def _figures(rows: list[Row], way: str) -> Iterator[str]:
    for name in ("phase", "amplitude", "error"):
        values = [row[way][name] for row in rows]
        yield f"{name} {statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def _median(rows: list[Row], way: str, name: str) -> float:
    return float(statistics.median(row[way][name] for row in rows))
