"""Ptychodus' types into a Scan, and a Product back: the one place where both are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptychodus.api.object import Object
from ptychodus.api.probe import ProbeSequence
from ptychodus.api.probe_positions import ProbePositionSequence
from ptychodus.api.product import LossValue
from ptychodus.api.product import Product as PtychodusProduct
from ptychodus.api.reconstruct import ReconstructInput

from ptychonyx.runtime.formats.placed_object import as_object, as_probe
from ptychonyx.runtime.formats.positions import corners_from_metres, metres_from_corners
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Frame, Scan

Y_M, X_M = ("y_m", "coordinate_y_m"), ("x_m", "coordinate_x_m")
"""Attributes of a position: since Ptychodus 1.6, and before."""
ROUNDING_PX = 1e-6
"""Smaller differences of positions are no moves."""
ENERGY_EV = ("photon_energy_eV", "probe_energy_eV")
"""Attributes of a product's metadata: since Ptychodus 1.7, and before."""


def to_scan(parameters: ReconstructInput) -> Scan:
    """Turn what Ptychodus gives a reconstructor into a scan.

    Patterns are counts and bad pixels are as stored: the runtime sets them to 0. The frame is the
    canvas of the input product, so the result has the same.

    Raises
    ------
    ScanError
        If the parts do not fit together.
    """
    product = parameters.product
    frame, patterns = _frame_of(product.object_), parameters.diffraction_patterns
    positions = product.probe_positions
    name, probe, metadata = product.metadata.name, product.probes.get_array(), product.metadata
    return Scan(
        patterns=patterns,
        quantity="counts",
        corners_px=corners_from_metres(_in_metres(positions), patterns.shape[-1], frame),
        probe=as_probe(probe, "probe", Path(name)) if probe.size else None,
        object_=as_object(product.object_.get_array(), "object", Path(name)),
        bad_pixels=np.asarray(parameters.bad_pixels, dtype=np.bool_),
        pixel_size_m=frame.pixel_size_m[1],
        photon_energy_eV=_named(metadata, *ENERGY_EV) or None,
        detector_distance_m=metadata.detector_distance_m or None,
        frame=frame,
        position_indexes=np.array([each.index for each in positions], dtype=np.int64),
        position_origin="metres",
        name=name,
    )


def to_ptychodus(
    product: Product, given: PtychodusProduct, losses: Sequence[LossValue] = ()
) -> PtychodusProduct:
    """Put a reconstructed object in the place of the one that was given.

    Canvas, center, metadata and the number of layers stay; with several layers, the first one is the
    result and the others are 1. The probe stays, unless the runtime refined it, supplied it, or had
    to bring it to counts: it belongs to the object. So do positions, unless some were moved. `losses`
    are those of the network's training, if it was trained here, or of passes; Ptychodus plots them.
    """
    layers = np.ones_like(given.object_.get_array())
    layers[0] = product.object_
    probes = _probes(product, given.probes, given.object_)
    metadata = given.metadata
    if probes is not given.probes:
        power = float(np.sum(np.abs(product.probe.astype(np.complex128)) ** 2))
        metadata = replace(metadata, probe_photon_count=power)
    return PtychodusProduct(
        metadata=metadata,
        probe_positions=_positions(product, given),
        probes=probes,
        object_=Object(
            layers,
            given.object_.get_pixel_geometry(),
            given.object_.get_center(),
            given.object_.layer_spacing_m,
        ),
        losses=list(losses),
    )


def _frame_of(object_: Object) -> Frame:
    geometry = object_.get_geometry()
    return Frame(
        canvas_shape=(geometry.height_px, geometry.width_px),
        center_m=(geometry.center_y_m, geometry.center_x_m),
        pixel_size_m=(geometry.pixel_height_m, geometry.pixel_width_m),
    )


def _in_metres(positions: ProbePositionSequence) -> NDArray[np.float64]:
    """Return positions (y, x), shape (n, 2)."""
    values = [(_named(each, *Y_M), _named(each, *X_M)) for each in positions]
    return np.array(values, dtype=np.float64).reshape(-1, 2)


def _positions(product: Product, given: PtychodusProduct) -> ProbePositionSequence:
    """Return the given positions, or where they were moved to; those of patterns left out stay."""
    frame, positions = _frame_of(given.object_), list(given.probe_positions)
    kept = np.isin([each.index for each in positions], product.position_indexes)
    before_px = corners_from_metres(
        _in_metres(given.probe_positions)[kept], product.window_px, frame
    )
    if np.allclose(product.corners_px, before_px, rtol=0, atol=ROUNDING_PX):
        return given.probe_positions
    after_m = metres_from_corners(product.corners_px, product.window_px, frame)
    for place, (y_m, x_m) in zip(np.flatnonzero(kept), after_m.tolist(), strict=True):
        position = positions[place]
        positions[place] = replace(
            position, **{_name(position, *Y_M): y_m, _name(position, *X_M): x_m}
        )
    return ProbePositionSequence(positions)


def _named(thing: Any, *names: str) -> float:
    """Return a number by the name that this release of Ptychodus has for it."""
    return float(getattr(thing, _name(thing, *names)))


def _name(thing: Any, *names: str) -> str:
    return next(name for name in names if hasattr(thing, name))


def _probes(product: Product, given: ProbeSequence, object_: Object) -> ProbeSequence:
    array: NDArray[np.complexfloating] = given.get_array()
    is_given = product.metadata["probe_source"] == "file" and len(product.probe) == array.shape[1]
    if product.metadata.get("probe_refined") or not is_given:
        return ProbeSequence(product.probe, None, object_.get_pixel_geometry())
    factor = np.linalg.norm(product.probe) / np.linalg.norm(array[0])
    if np.isclose(factor, 1):
        return given
    try:
        weights = given.get_opr_weights()
    except ValueError:  # how Ptychodus says that there are none
        weights = None
    return ProbeSequence(array * factor, weights, given.get_pixel_geometry())
