"""Ptychodus' types into a Scan, and a Product back: the one place where both are known."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptychodus.api.object import Object
from ptychodus.api.probe import ProbeSequence
from ptychodus.api.product import LossValue
from ptychodus.api.product import Product as PtychodusProduct
from ptychodus.api.reconstruct import ReconstructInput, ReconstructOutput

from ptychonyx.runtime import ReconstructionOptions
from ptychonyx.runtime.belief import judge, with_verdict
from ptychonyx.runtime.formats.placed_object import as_object, as_probe
from ptychonyx.runtime.formats.positions import corners_from_metres
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.plausibility import log_findings, look_at
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct_in_steps
from ptychonyx.runtime.scan import Frame, Scan

_logger = logging.getLogger("ptychonyx.ptychodus")

PROGRESS_GOAL = 100
"""Progress is in percent; the last of the yields has this number."""
NUM_STEPS = 5
"""Ptychodus redraws the product, and in batch mode writes it, at each yield."""

Y_M, X_M = ("y_m", "coordinate_y_m"), ("x_m", "coordinate_x_m")
"""Attributes of a position: since Ptychodus 1.6, and before."""
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
    geometry = product.object_.get_geometry()
    frame = Frame(
        canvas_shape=(geometry.height_px, geometry.width_px),
        center_m=(geometry.center_y_m, geometry.center_x_m),
        pixel_size_m=(geometry.pixel_height_m, geometry.pixel_width_m),
    )
    patterns = parameters.diffraction_patterns
    positions = product.probe_positions
    positions_m = np.array([(_named(each, *Y_M), _named(each, *X_M)) for each in positions])
    name, probe, metadata = product.metadata.name, product.probes.get_array(), product.metadata
    return Scan(
        patterns=patterns,
        quantity="counts",
        corners_px=corners_from_metres(positions_m.reshape(-1, 2), patterns.shape[-1], frame),
        probe=as_probe(probe, "probe", Path(name)) if probe.size else None,
        object_=as_object(product.object_.get_array(), "object", Path(name)),
        bad_pixels=np.asarray(parameters.bad_pixels, dtype=np.bool_),
        pixel_size_m=geometry.pixel_width_m,
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

    Canvas, center, positions, metadata and the number of layers stay; with several layers, the
    first one is the result and the others are 1. The probe stays, unless the runtime had to bring
    it to counts or supply it: it belongs to the object. `losses` are those of the network's training,
    if it was trained here; Ptychodus plots them.
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
        probe_positions=given.probe_positions,
        probes=probes,
        object_=Object(
            layers,
            given.object_.get_pixel_geometry(),
            given.object_.get_center(),
            given.object_.layer_spacing_m,
        ),
        losses=list(losses),
    )


def reconstruct(
    parameters: ReconstructInput,
    model: Model,
    options: ReconstructionOptions,
    losses: Sequence[LossValue] = (),
) -> Generator[ReconstructOutput, None, None]:
    """Reconstruct, and yield the product a few times as it grows, with the progress in percent.

    What is odd about the scan, and why a result should not be believed, goes into the log.
    """
    given = to_scan(parameters)
    checked = look_at(given)
    log_findings(checked.findings, given.name)
    scan = checked.scan
    percent = 0

    def count(done: int, num: int) -> None:
        nonlocal percent
        percent = PROGRESS_GOAL * done // num

    steps = reconstruct_in_steps(scan, model, options, num_steps=NUM_STEPS, progress=count)
    with closing(steps):
        for product in steps:
            output = to_ptychodus(product, parameters.product, losses)
            yield ReconstructOutput(output, progress=percent)
    for finding in judge(with_verdict(product, scan, model.manifest)):
        _logger.warning("NOT BELIEVABLE: %s", finding)
    _logger.info(
        "Reconstructed %d patterns on %s in %.2f s.",
        scan.num_patterns,
        model.provider,
        product.metadata["total_s"],
    )


def _named(thing: Any, *names: str) -> float:
    """Return a number by the name that this release of Ptychodus has for it."""
    return float(getattr(thing, next(name for name in names if hasattr(thing, name))))


def _probes(product: Product, given: ProbeSequence, object_: Object) -> ProbeSequence:
    if product.metadata["probe_source"] != "file":
        return ProbeSequence(product.probe, None, object_.get_pixel_geometry())
    array: NDArray[np.complexfloating] = given.get_array()
    factor = np.linalg.norm(product.probe) / np.linalg.norm(array[0])
    if np.isclose(factor, 1):
        return given
    try:
        weights = given.get_opr_weights()
    except ValueError:  # how Ptychodus says that there are none
        weights = None
    return ProbeSequence(array * factor, weights, given.get_pixel_geometry())
