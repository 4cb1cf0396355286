"""Describe a scan, a product or a model in words, for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .belief import needs
from .model.manifest import AnyManifest, Manifest, ModelFacts, SolverManifest
from .model.manifest.own_residual import OwnResidual
from .plausibility import Checked, absorption_text, median_step_px
from .product import Product
from .scaling import counts_per_pattern, probe_in_counts, scale_from_counts
from .scan import Scan


def describe_scan(scan: Scan, checked: Checked | None = None) -> dict[str, str]:
    """Describe a scan in a few rows; its patterns are read once, or not at all if they were checked.

    Parameters
    ----------
    scan : Scan
    checked : Checked, optional
        What looking at the scan came to; doses are then those of the patterns that are left.

    Returns
    -------
    dict
        Name and text of each row, in the order to print them.

    Raises
    ------
    ScanError
        If all patterns are zero, or a good pixel is negative or not a finite number.

    Examples
    --------
    >>> scan = Scan(np.full((3, 8, 8), 4), "counts", np.zeros((3, 2)))
    >>> rows = describe_scan(scan)
    >>> rows["dose"], rows["input scale"]
    ('256 counts per pattern', '0.25')
    """
    counts = counts_per_pattern(scan) if checked is None else checked.counts_per_pattern
    missing = {
        "probe": scan.probe,
        "object": scan.object_,
        "pixel size": scan.pixel_size_m,
        "photon energy": scan.photon_energy_eV,
        "detector distance": scan.detector_distance_m,
        "bad pixels": scan.bad_pixels,
    }
    side = scan.window_px
    rows = {
        "patterns": f"{scan.num_patterns} of {side}×{side}, {scan.patterns.dtype}, {scan.quantity}",
        "dose": f"{counts:.4g} counts per pattern",
        "input scale": f"{scale_from_counts(side, counts):.5g}" if counts else "unknown",
        "positions": _extent(scan),
        "position origin": scan.position_origin,
        "overlap": _overlap(scan),
    }
    if scan.turned:
        rows["turned"] = scan.turned
    if checked is not None and checked.scan.num_patterns < scan.num_patterns:
        rows["patterns used"] = f"{checked.scan.num_patterns} of {scan.num_patterns}"
    if scan.probe is not None:
        power = np.sum(np.abs(scan.probe.astype(np.complex128)) ** 2, axis=(1, 2))
        shares = ", ".join(f"{100 * share:.0f} %" for share in power / power.sum())
        rows["probe"] = f"{len(scan.probe)} mode(s): {shares}"
        if counts:
            _, ratio = probe_in_counts(scan.probe, counts)
            absorption = absorption_text(ratio)
            rows["probe"] += f"; power / counts = {ratio:.3g}"
            rows["probe"] += "" if absorption is None else f", {absorption}"
    if scan.object_ is not None:
        rows["object"] = f"{scan.object_.shape[0]}×{scan.object_.shape[1]}"
    if scan.pixel_size_m is not None:
        rows["pixel size"] = f"{scan.pixel_size_m * 1e9:.4g} nm"
    if scan.photon_energy_eV is not None:
        rows["photon energy"] = f"{scan.photon_energy_eV:.6g} eV"
    rows["missing"] = (
        ", ".join(name for name, value in missing.items() if value is None) or "nothing"
    )
    return rows


PRODUCT_ROWS = {
    "method": "method",
    "model": "model_name",
    "turned": "turned",
    "start": "start",
    "passes": "passes",
    "stopped": "stopped",
    "shares": "shares",
    "workers": "workers",
    "repeated passes": "repeats",
    "noise": "noise",
    "passes on": "pass_providers",
    "probe from": "probe_source",
    "probe refined": "probe_refined",
    "positions refined": "positions_refined",
    "positions at bound": "positions_at_bound",
}
"""Row of a product -> field of its metadata."""


def describe_product(product: Product) -> dict[str, str]:
    """Describe how a product was made and how much of the patterns it explains, in a few rows.

    Returns
    -------
    dict
        Name and text of each row, in the order to print them; what is not known is left out.

    Examples
    --------
    >>> from .solving.solve import SolvingOptions, solve
    >>> scan = Scan(np.full((3, 8, 8), 4), "counts", np.zeros((3, 2)))
    >>> rows = describe_product(solve(scan, SolvingOptions(passes=2)))
    >>> rows["method"], rows["passes"], rows["patterns used"]
    ('passes', '2', '3 of 3')
    """
    metadata = product.metadata
    rows = {row: str(metadata[name]) for row, name in PRODUCT_ROWS.items() if name in metadata}
    for row, name in {"residual": "residual", "network's residual": "network_residual"}.items():
        if name in metadata:
            rows[row] = f"{100 * float(metadata[name]):.2f} % of the measured amplitude unexplained"
    if "positions_moved_px" in metadata:
        rows["positions moved"] = f"{float(metadata['positions_moved_px']):.3g} px rms"
    if "intensity_spread" in metadata:
        rows["brightness fitted"] = f"{100 * float(metadata['intensity_spread']):.2g} % rms"
    if "background_share" in metadata:
        share = 100 * float(metadata["background_share"])
        rows["background fitted"] = f"{share:.2g} % of the counts"
    if found := needs(product):
        rows["needed"] = " ".join(str(each) for each in found)
    height, width = product.object_.shape
    rows["object"] = f"{height}×{width}"
    if product.coverage is not None:
        rows["object"] += f", {100 * float((product.coverage > 0).mean()):.0f} % covered"
    rows["probe"] = f"{len(product.probe)} mode(s)"
    if product.num_patterns_used is not None:
        rows["patterns used"] = f"{product.num_patterns_used} of {len(product.corners_px)}"
    if "believable" in metadata:
        reasons = str(metadata.get("believable_reasons", ""))
        rows["believable"] = "yes" if metadata["believable"] else f"NO: {reasons}"
    rows["complete"] = "yes" if product.complete else "no, it was stopped early"
    return rows


def describe_model(manifest: AnyManifest) -> dict[str, str]:
    """Describe a model of any kind in a few rows.

    Returns
    -------
    dict
        Name and text of each row, in the order to print them.
    """
    proof = manifest.verification
    rows = {
        "name": manifest.name,
        "kind": f"{manifest.KIND}: {manifest.PURPOSE}",
        "backend": f"{manifest.backend} {manifest.framework_version}",
        "exporter": f"{manifest.exporter} {manifest.exporter_version}, opset {manifest.opset}",
        "network": f"{manifest.architecture} ({_listed(manifest.architecture_options)}), "
        f"{manifest.precision}",
        **ROWS_OF_KIND[type(manifest)](manifest),
        "training": _listed(manifest.training_summary),
        "verified": f"difference {proof.largest_difference:.1e}, allowed {proof.tolerance:.0e}",
        "license": manifest.license,
        "created": manifest.created,
    }
    if manifest.parent_digest is not None:
        rows["derived from"] = manifest.parent_digest
    if isinstance(manifest, Manifest) and manifest.derivation is not None:
        rows["measured"] = _listed(manifest.derivation)
    return rows


def _patches_rows(manifest: Manifest) -> dict[str, str]:
    side = manifest.window_px
    return {
        "input": f"{manifest.num_channels} × {side}×{side} {manifest.input_quantity}",
        "output": f"{manifest.patch_px}×{manifest.patch_px} object patches",
        "scaling": manifest.scaling_rule,
        "object": manifest.object_convention,
        "probe": "none" if manifest.probe is None else f"{len(manifest.probe)} mode(s)",
        "own residual": _own_residual(manifest.own_residual),
    }


def _own_residual(own: OwnResidual | None) -> str:
    if own is None:
        return "not measured"
    validation = "" if own.validation is None else f", {100 * own.validation:.2f} % (validation)"
    return (
        f"{100 * own.training:.2f} % (training){validation} of the measured amplitude unexplained"
    )


def _solver_rows(manifest: SolverManifest) -> dict[str, str]:
    return {
        "input": f"{manifest.num_features} features, version {manifest.feature_version}, on a canvas "
        f"of multiples of {manifest.stride_px} px",
        "output": "change of the object",
        "trained for": f"up to {manifest.trained_passes} passes",
        "scores": _listed(manifest.scores),
    }


ROWS_OF_KIND: dict[type[ModelFacts], Callable[[Any], dict[str, str]]] = {
    Manifest: _patches_rows,
    SolverManifest: _solver_rows,
}
"""Class of a manifest -> the rows that only its kind has."""


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _extent(scan: Scan) -> str:
    height, width = np.ptp(scan.corners_px, axis=0)
    return f"{height:.1f}×{width:.1f} px (y, x)"


def _overlap(scan: Scan) -> str:
    if scan.num_patterns < 2:
        return "one position"
    step = median_step_px(scan.corners_px)
    return f"median step {step:.2f} px, linear overlap {100 * (1 - step / scan.window_px):.0f} %"
