"""The star's twin with a beam that flickers, and with a background; fitted, and not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime import Scan, load_probe
from ptychonyx.runtime.belief import needs
from ptychonyx.runtime.forward import predict_counts
from ptychonyx.runtime.simulation.scan import MARGIN_PX
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve

from .records import Row, figure, is_missing, keep, load, ratio, verdict
from .star import against_reference, reference_of, scan_named

NAME = "intensity"
WINDOW_PX = 64
PASSES = 30
FLICKER = 0.2
"""Patterns are brighter or darker by up to this share, each at random."""
BACKGROUND = 0.05
"""Share of the counts, spread evenly over the pixels."""
CLOSE = 1.1
"""An error is close to that of undisturbed patterns if it is at most this multiple of it."""


@dataclass(frozen=True)
class Case:
    """Whose patterns are disturbed, how, and what is done about it."""

    kind: str
    wrong: str
    options: SolvingOptions

    @property
    def key(self) -> str:
        """Name of the row."""
        names = ("refine_intensity", "refine_background")
        fitted = [name.removeprefix("refine_") for name in names if getattr(self.options, name)]
        more = [] if self.options.num_modes is None else ["modes-auto"]
        return "-".join([self.kind, self.wrong, "with", *(fitted + more or ["nothing"])])


PLAIN = SolvingOptions(passes=PASSES)
CASES = (
    Case("twin", "undisturbed", PLAIN),
    Case("twin", "flicker", PLAIN),
    Case("twin", "flicker", replace(PLAIN, refine_intensity=True)),
    Case("twin", "background", PLAIN),
    Case("twin", "background", replace(PLAIN, refine_background=True)),
    Case("star", "undisturbed", PLAIN),
    Case("twin", "undisturbed", replace(PLAIN, refine_intensity=True, refine_background=True)),
    Case("twin", "background", replace(PLAIN, num_modes="auto")),
    Case("twin", "background", replace(PLAIN, num_modes="auto", refine_background=True)),
)


def run(*, again: bool) -> None:
    """Solve each case, and report."""
    for case in CASES:
        if is_missing(NAME, case.key, again=again):
            keep(NAME, {"key": case.key} | measure(case))
    report()


def measure(case: Case) -> Row:
    """Disturb the patterns of a scan, solve it, and compare object and what was fitted."""
    scan, factors, background = scan_named(case.kind, WINDOW_PX), None, None
    if case.wrong != "undisturbed":
        scan, factors, background = disturbed(case.wrong)
    product = solve(scan, case.options, probe=load_probe(reference_of(WINDOW_PX)))
    found: Row = {}
    if product.pattern_factors is not None:
        true = np.ones(scan.num_patterns) if factors is None else factors
        found["factors_left"] = float((product.pattern_factors - true / true.mean()).std())
    if product.background is not None:
        true = np.zeros_like(product.background) if background is None else background
        counts = np.asarray(scan.patterns).sum() / scan.num_patterns
        found["background_share"] = float(product.background.sum() / counts)
        found["background_left"] = float(np.abs(product.background - true).sum() / counts)
    return {
        "error": against_reference(product, WINDOW_PX).complex_nrmse,
        "needed": [need.name for need in needs(product)],
        "intensity_needed": product.metadata.get("intensity_needed", 0.0),
        "background_needed": product.metadata.get("background_needed", 0.0),
        **found,
        "modes": len(product.probe),
        "residual": product.metadata["residual"],
        "seconds": product.metadata["total_s"],
    }


def disturbed(
    wrong: str,
) -> tuple[Scan, NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return the twin with photon noise of its disturbed rates, and how they were disturbed."""
    twin, rates = scan_named("twin", WINDOW_PX), twin_rates()
    rng = np.random.default_rng(7)
    if wrong == "flicker":
        factors = rng.uniform(1 - FLICKER, 1 + FLICKER, len(rates))
        counts = rng.poisson(rates * factors[:, None, None])
        return replace(twin, patterns=counts.astype(np.uint32)), factors, None
    share = BACKGROUND / (1 - BACKGROUND)  # of the counts that the beam makes
    background = np.full(rates.shape[1:], share * rates.mean())
    counts = rng.poisson(rates + background)
    return replace(twin, patterns=counts.astype(np.uint32)), None, background


@cache
def twin_rates() -> NDArray[np.float64]:
    """Return the counts of the twin's patterns without photon noise."""
    twin = scan_named("twin", WINDOW_PX)
    assert twin.object_ is not None
    assert twin.object_corner_px is not None
    assert twin.probe is not None
    padded = np.pad(twin.object_, MARGIN_PX, mode="edge").astype(np.complex128)
    corners_px = twin.corners_px - np.array(twin.object_corner_px) + MARGIN_PX
    return predict_counts(padded, twin.probe.astype(np.complex128), corners_px)


def report() -> None:
    """Print what each disturbance costs, and what is left of it, beside its bound."""
    rows = load(NAME)
    for key, row in rows.items():
        print(
            f"{key:46} error {row['error']:.4f}, residual {100 * row['residual']:.3f} %, "
            f"{row['modes']} modes, needed: {', '.join(row['needed']) or 'nothing'}"
        )
    undisturbed = figure(rows, "twin-undisturbed-with-nothing", "error")
    for wrong, option in (("flicker", "intensity"), ("background", "background")):
        fitted = figure(rows, f"twin-{wrong}-with-{option}", "error")
        verdict(f"twin, {wrong}: error, times undisturbed", ratio(fitted, undisturbed), CLOSE)
        plain = rows.get(f"twin-{wrong}-with-nothing")
        named = None if plain is None else float(f"refine-{option}" in plain["needed"])
        verdict(f"twin, {wrong}: option is named", named, 1, at_least=True)
    for kind in ("twin", "star"):
        plain = rows.get(f"{kind}-undisturbed-with-nothing")
        num = None if plain is None else float(len(plain["needed"]))
        verdict(f"{kind}, undisturbed: false alarms", num, 0)
