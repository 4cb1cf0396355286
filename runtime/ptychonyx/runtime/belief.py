"""Whether a product can be believed: one verdict, from findings of the same kind as those of scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .model.manifest import Manifest
from .plausibility import Finding
from .product import Metadata, Product
from .residual import LARGEST_LEFT_OUT, LARGEST_UNEXPLAINED
from .scan import Scan

FAR_ABOVE_MODEL = 3.0
"""A residual, less photon noise, that is so many times that of the model on its own data."""
SMALLEST_OVERLAP = 0.5
"""Least share of the power of a scan's probe within the modes that a network was trained with."""
LARGEST_AT_BOUNDS = 0.1
"""Largest share of an object's pixels at the bounds of a network's output; phases that are spread
evenly have 1 % of them near ±π."""
NEAR_BOUND = 0.01
SMALLEST_COVERED = 0.5
"""Least share of the box between the outermost windows' centers that patches cover."""


def with_verdict(
    product: Product, scan: Scan | None = None, manifest: Manifest | None = None
) -> Product:
    """Return a product that says whether it can be believed, and why not.

    Parameters
    ----------
    product : Product
    scan : Scan, optional
        What it was made of.
    manifest : Manifest, optional
        That of the network whose output the object is.

    Returns
    -------
    Product
        With `believable` and `believable_reasons` in its metadata; a product that was stopped early
        gets none, and one of which nothing can be told keeps what it has.

    Examples
    --------
    >>> window, object_ = np.ones((1, 4, 4), np.complex64), np.ones((6, 6), np.complex64)
    >>> product = Product(object_, (0, 0), np.zeros((2, 2)), np.arange(2), 4, window,
    ...                   metadata={"unexplained_differences": 0.8})
    >>> with_verdict(product).metadata["believable"]
    False
    """
    if not product.complete:
        return product
    known = product.metadata
    if manifest is not None:
        known = known | _of_network(product, scan, manifest)
    findings = judge(replace(product, metadata=known))
    if findings:
        reasons = " ".join(str(each) for each in findings)
        known = known | {"believable": False, "believable_reasons": reasons}
    elif "unexplained_differences" in known:
        known = known | {"believable": True}
    return replace(product, metadata=known)


def judge(product: Product) -> list[Finding]:
    """Return why a product should not be believed; nothing if it may be.

    Parameters
    ----------
    product : Product
        Its metadata holds what was measured.
    """
    checks = (_unexplained, _left_out, _above_model, _unlike_probe, _at_bounds, _uncovered)
    found = (check(product) for check in checks)
    return [each for each in found if each is not None]


def needs(product: Product) -> list[Finding]:
    """Return which options a scan needs that its passes did without; each is named as its option.

    Parameters
    ----------
    product : Product
        Its metadata holds what was measured; see `solving.disturbances.evidence`.

    Examples
    --------
    >>> window, object_ = np.ones((1, 4, 4), np.complex64), np.ones((6, 6), np.complex64)
    >>> product = Product(object_, (0, 0), np.zeros((2, 2)), np.arange(2), 4, window,
    ...                   metadata={"intensity_needed": 0.11})
    >>> [finding.name for finding in needs(product)]
    ['refine-intensity']
    """
    found = []
    spread = product.metadata.get("intensity_needed")
    if spread is not None:
        evidence = (
            f"Patterns are {100 * float(spread):.1f} % (root mean square, beyond photon noise) brighter "
            "or darker than object and probe predict"
        )
        cure = "let the passes fit how bright each is"
        found.append(Finding("refine-intensity", evidence, cure, is_wrong=False))
    share = product.metadata.get("background_needed")
    if share is not None:
        evidence = (
            f"By a first estimate, {100 * float(share):.1f} % of the counts are in all patterns alike, "
            "and no part of the beam"
        )
        cure = "let the passes fit a background"
        found.append(Finding("refine-background", evidence, cure, is_wrong=False))
    return found


def _unexplained(product: Product) -> Finding | None:
    share = product.metadata.get("unexplained_differences")
    if share is None or float(share) <= LARGEST_UNEXPLAINED:
        return None
    evidence = (
        f"Beyond photon noise, {100 * float(share):.0f} % of what differs between the patterns is not "
        "explained by this object and probe (right results leave less than "
        f"{100 * LARGEST_UNEXPLAINED:.0f} %)"
    )
    reached = product.metadata.get("trial_unexplained")
    if reached is None:
        cure = "check the probe, the positions and the orientation of the patterns"
        return Finding("unexplained", evidence, cure, is_wrong=True)
    evidence += f"; passes over a part of the scan leave {100 * float(reached):.0f} %"
    if float(reached) <= LARGEST_UNEXPLAINED:
        cure = "the scan is right, but not of the kind this network serves; make passes"
        return Finding("network-unlike-scan", evidence, cure, is_wrong=True)
    cure = (
        "no network cures that: check the probe, the positions and the orientation of the patterns"
    )
    return Finding("unexplained", evidence, cure, is_wrong=True)


def _left_out(product: Product) -> Finding | None:
    share = product.metadata.get("left_out_unexplained")
    if share is None or float(share) <= LARGEST_LEFT_OUT:
        return None
    evidence = (
        "This probe fits the patterns it has seen, but leaves "
        f"{100 * float(share):.0f} % of what differs between others unexplained (right ones less than "
        f"{100 * LARGEST_LEFT_OUT:.0f} %)"
    )
    return Finding("left-out", evidence, "start from another probe, or from none", is_wrong=True)


def _above_model(product: Product) -> Finding | None:
    own, found = (product.metadata.get(name) for name in ("model_residual", "residual"))
    if own is None or found is None:
        return None
    noise = float(product.metadata.get("residual_noise", 0.0))
    if float(found) - noise <= FAR_ABOVE_MODEL * float(own) or _is_what_passes_reach(product):
        return None
    evidence = (
        f"{100 * float(found):.2f} % of the measured amplitude is left unexplained, but the model left "
        f"{100 * float(own):.2f} % of its own data, beyond photon noise"
    )
    cure = "this scan is not of the kind the model has learned; make passes, or train on such scans"
    return Finding("residual-above-model", evidence, cure, is_wrong=True)


def _is_what_passes_reach(product: Product) -> bool:
    """Tell whether passes leave nearly as much of the same patterns: then it is the scan's own."""
    known = product.metadata
    if "trial_residual" not in known:
        return False
    noise = float(known["trial_noise"])
    reached, found = (
        float(known[name]) - noise for name in ("trial_residual", "trial_network_residual")
    )
    return found <= FAR_ABOVE_MODEL * reached


def _unlike_probe(product: Product) -> Finding | None:
    share = product.metadata.get("probe_overlap")
    if share is None or float(share) >= SMALLEST_OVERLAP:
        return None
    evidence = (
        f"Only {100 * float(share):.0f} % of the power of the scan's probe lies within the modes that "
        "the network was trained with"
    )
    cure = "this network serves another beam; make passes, or train one with this probe"
    return Finding("probe-unlike-model", evidence, cure, is_wrong=True)


def _at_bounds(product: Product) -> Finding | None:
    share = product.metadata.get("share_at_bounds")
    if share is None or float(share) <= LARGEST_AT_BOUNDS:
        return None
    evidence = f"{100 * float(share):.0f} % of the object is at the bounds of the network's output"
    cure = "the specimen is outside of what the model can give; make passes, or train with wider bounds"
    return Finding("output-at-bounds", evidence, cure, is_wrong=True)


def _uncovered(product: Product) -> Finding | None:
    if product.coverage is None or len(product.corners_px) < 2:
        return None
    centers = product.corners_px + product.window_px / 2 - np.array(product.object_corner_px)
    (top, left), (bottom, right) = (
        np.clip(np.rint(edge), 0, product.coverage.shape).astype(int)
        for edge in (centers.min(axis=0), centers.max(axis=0) + 1)
    )
    box = product.coverage[top:bottom, left:right]
    if box.size == 0 or float((box > 0).mean()) >= SMALLEST_COVERED:
        return None
    evidence = (
        f"Patches cover {100 * float((box > 0).mean()):.0f} % of the area between the positions"
    )
    cure = "check the positions' unit, or scan with smaller steps"
    return Finding("poorly-covered", evidence, cure, is_wrong=True)


def _of_network(product: Product, scan: Scan | None, manifest: Manifest) -> Metadata:
    """Return what a network's product is judged by."""
    found: Metadata = {}
    if manifest.own_residual is not None:
        found["model_residual"] = manifest.own_residual.beyond_noise
    probe = None if scan is None else scan.probe
    if probe is not None and manifest.probe is not None:
        found["probe_overlap"] = overlap_of_modes(probe, manifest.probe)
    share = _share_at_bounds(product, manifest)
    return found if share is None else found | {"share_at_bounds": share}


def overlap_of_modes(probe: NDArray[np.complex64], known: NDArray[np.complex64]) -> float:
    """Return the share of a probe's power that lies in the space that the modes of another span.

    Parameters
    ----------
    probe, known : complex64 array, shapes (modes, N, N)

    Examples
    --------
    >>> modes = np.eye(4, dtype=np.complex64).reshape(4, 2, 2)
    >>> overlap_of_modes(modes[:2], modes[1:])
    0.5
    """
    columns = known.reshape(len(known), -1).T.astype(np.complex128)
    vectors, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    basis = vectors[:, sizes > 1e-6 * max(float(sizes.max()), 1e-300)]
    flat = probe.reshape(len(probe), -1).T.astype(np.complex128)
    power = float(np.square(np.abs(flat)).sum())
    inside = float(np.square(np.abs(basis.conj().T @ flat)).sum())
    return inside / power if power else 0.0


def _share_at_bounds(product: Product, manifest: Manifest) -> float | None:
    """Return the share of covered pixels at the largest amplitude, or at a phase of ±π."""
    known = product.object_ != 0 if product.coverage is None else product.coverage > 0
    pixels = product.object_[known]
    if not len(pixels):
        return None
    at_bound = np.abs(np.angle(pixels)) >= (1 - NEAR_BOUND) * np.pi
    options = manifest.architecture_options
    largest = options.get("amplitude_max")
    if options.get("amplitude_activation", "sigmoid") == "sigmoid" and isinstance(
        largest, int | float
    ):
        at_bound |= np.abs(pixels) >= (1 - NEAR_BOUND) * largest
    return float(at_bound.mean())
