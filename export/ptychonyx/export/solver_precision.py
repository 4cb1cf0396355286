"""Solvers of fewer bits, derived from a float32 model file and measured against it."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from ptychonyx.runtime.model.cores import num_cores
from ptychonyx.runtime.model.manifest import FEATURES
from ptychonyx.runtime.model.manifest.solver_proof import SolverVerification
from ptychonyx.runtime.model.solver import SolverModel
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.network.from_model import SolverNetwork
from ptychonyx.runtime.solving.network.trust import with_network
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.physics.sweep import Problem
from ptychonyx.runtime.solving.plan import start_of
from ptychonyx.runtime.solving.result import LIT_SHARE
from ptychonyx.runtime.solving.setup import set_up

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
        A scan of few photons or positions, as the network is for. Passes with either model solve
        it, and the difference of the two objects decides.
    name : str, optional
        Name of the model in the manifest; by default that of the file.

    Raises
    ------
    ValueError
        If an argument does not fit, or `source` is no float32 model.
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
    before, coverage = _solve(calibration, recorder)
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
    after, _ = _solve(calibration, SolverNetwork(candidate))
    measured = difference(after, before, coverage)
    check_difference(measured, precision)
    proven = dataclasses.replace(
        manifest, derivation=derivation | measured, verification=_proof(candidate)
    )
    write_model(with_manifest(model, proven), output)
    return DerivedReport(output, output.stat().st_size, parent.path.stat().st_size, **measured)


def _solve(scan: Scan, network: SolverNetwork) -> tuple[NDArray[np.complex64], NDArray[np.int32]]:
    """Return the object after some passes with a network, and how often each pixel was seen."""
    options = SolvingOptions()
    with ThreadPoolExecutor(num_cores()) as pool:
        setting = set_up(scan, options, pool, start=None, probe=None)
        problem = Problem(setting.measured, setting.placement, options.noise)
        state = start_of(problem, setting.object_, setting.probe.array)
        passer = with_network(setting.passer, network)
        for _ in range(PASSES):
            state = passer.step(problem, state)
    intensity = state.beam.intensity
    coverage = np.zeros(setting.placement.shape, np.int32)
    is_lit = intensity >= LIT_SHARE * intensity.max()
    setting.placement.add(coverage, is_lit[None], np.arange(scan.num_patterns))
    return state.object_, coverage


def _proof(derived: SolverModel) -> SolverVerification:
    proof, largest = derived.manifest.verification, derived.verify().largest_difference
    tolerance = tolerance_of(derived.manifest.precision, largest, proof.tolerance)
    return dataclasses.replace(proof, largest_difference=largest, tolerance=tolerance)
