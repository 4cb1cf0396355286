"""Solvers of fewer bits, derived from a float32 model file and measured against it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from ptychonyx.runtime.model.manifest import FEATURES
from ptychonyx.runtime.model.manifest.solver_proof import SolverVerification
from ptychonyx.runtime.model.solver import SolverModel
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.network.from_model import SolverNetwork
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve

from .gate import check_difference, difference, tolerance_of
from .graph.assemble import with_graph, with_manifest
from .graph.precision import CONVERSIONS
from .model_file import check_output, open_before_writing, write_model
from .precision import DerivedReport

PASSES = 10
"""Passes over the calibration scan: their features give the ranges, their object the difference."""


@dataclass(frozen=True)
class Recorder(SolverNetwork):
    """A network that keeps what it was shown."""

    seen: list[NDArray[np.float32]] = field(default_factory=list)

    def change(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change, and keep the features."""
        self.seen.append(features[None])
        return super().change(features)


def derive_solver(
    source: Path, output: Path, *, precision: str, calibration: Scan, name: str | None = None
) -> DerivedReport:
    """Derive a solver of fewer bits from a float32 one; refuse one that loses quality.

    Parameters
    ----------
    source : Path
        A float32 model file of a solver.
    output : Path
        The new model file, ending in .onnx.
    precision : str
        As for `derive_model`.
    calibration : Scan
        A scan of few photons or positions, so that the network is used. Passes with either model
        solve it, and the difference of the two objects decides.
    name : str, optional
        Name of the model in the manifest; by default that of the file.

    Raises
    ------
    ValueError
        If an argument does not fit, `source` is no float32 model, or the scan is so good that no
        network is used.
    PrecisionLossError
        If the objects differ too much; nothing is written.
    """
    if precision not in CONVERSIONS:
        raise ValueError(
            f"`precision` is {precision!r}; derived models are {', '.join(CONVERSIONS)}."
        )
    output = Path(output)
    check_output(output)
    parent = SolverModel(Path(source), provider="cpu")
    if parent.manifest.precision != "float32":
        raise ValueError(
            f"{source} is a model of precision {parent.manifest.precision}; derive from the float32 "
            "model."
        )
    recorder = Recorder(parent)
    before = _solved(calibration, recorder)
    whole = onnx.load(parent.path)
    graph = CONVERSIONS[precision](whole, [{FEATURES: features} for features in recorder.seen])
    model = with_graph(whole, graph)
    derivation = {"calibration": calibration.name, "calibration_samples": len(recorder.seen)}
    manifest = dataclasses.replace(
        parent.manifest,
        name=name or output.stem,
        precision=precision,
        parent_digest=parent.digest,
        derivation=derivation,
    )
    candidate = open_before_writing(with_manifest(model, manifest), output, SolverModel)
    measured = difference(_solved(calibration, SolverNetwork(candidate)), before)
    check_difference(measured, precision)
    proven = dataclasses.replace(
        manifest, derivation=derivation | measured, verification=_proof(candidate)
    )
    write_model(with_manifest(model, proven), output)
    return DerivedReport(output, output.stat().st_size, parent.path.stat().st_size, **measured)


def _solved(scan: Scan, network: SolverNetwork) -> Product:
    product = solve(scan, SolvingOptions(passes=PASSES, residual_patterns=0), network=network)
    if "network_name" not in product.metadata:
        raise ValueError(
            f"The scan {scan.name!r} is solved without a network, since it lacks neither photons nor "
            "positions: calibrate a solver with a scan that needs it."
        )
    return product


def _proof(derived: SolverModel) -> SolverVerification:
    proof, largest = derived.manifest.verification, derived.verify().largest_difference
    tolerance = tolerance_of(derived.manifest.precision, largest, proof.tolerance)
    return dataclasses.replace(proof, largest_difference=largest, tolerance=tolerance)
