"""Model files of another precision, derived from a float32 one and measured against it.

Heads, from the last convolution on, stay in float32 in every precision: they are a hundredth of the
operations and decide about phase and amplitude. Also float32 is what goes in and comes out.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from ptychonyx.runtime.comparison.metrics import nrmse, pearson
from ptychonyx.runtime.errors import PrecisionLossError
from ptychonyx.runtime.groups import find_groups
from ptychonyx.runtime.model.manifest import PRECISIONS, Manifest
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.verification import Verification
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
from ptychonyx.runtime.scaling import counts_per_pattern, read_amplitudes_of, scale_from_counts
from ptychonyx.runtime.scan import Scan

from .graph.assemble import with_manifest
from .run import LICENCE, check_output, export_run, write_model

Sample = NDArray[np.float32]

LOWEST_PHASE_PEARSON = 0.999
HIGHEST_COMPLEX_NRMSE = 0.02
"""What an object may differ by from that of the float32 model, on the calibration scan."""
NUM_CALIBRATION_SAMPLES = 512
"""More do not widen the ranges of a scan; they are spread evenly over it."""
BATCH = 32
INNER_OPS = ("Concat", "Conv", "DepthToSpace", "MaxPool", "Relu", "Resize", "Slice")
"""What is computed in the new precision, from the first convolution to the heads."""
PREPARED = "onnx.quant.pre_process"
"""Metadata that tells onnxruntime's quantiser not to ask for a preparation this graph needs not."""


@dataclass(frozen=True)
class PrecisionReport:
    """What was written, and how far it is from the float32 model on the calibration scan.

    Attributes
    ----------
    path : Path
    num_bytes, parent_num_bytes : int
    phase_pearson, amplitude_pearson, complex_nrmse : float
        Of the object against that of the float32 model, where at least half as many patches overlap
        as usual.
    """

    path: Path
    num_bytes: int
    parent_num_bytes: int
    phase_pearson: float
    amplitude_pearson: float
    complex_nrmse: float


def export_precision(
    source: Path,
    output: Path,
    *,
    precision: str,
    calibration: Scan,
    name: str | None = None,
    license: str = LICENCE,
) -> PrecisionReport:
    """Derive a model file of another precision; refuse one that loses quality.

    Parameters
    ----------
    source : Path
        A float32 model file, or a run folder, which is exported to one first.
    output : Path
        The model file, ending in .onnx.
    precision : str
        "float16" (weights and features), "bfloat16" (weights) or "int8" (weights and features,
        ranges from the calibration scan).
    calibration : Scan
        Patterns as the model will see them: the scan it was trained on. On it both models
        reconstruct the object, and their difference decides.
    name, license : str
        As in `export_run`; a model file keeps its license.

    Raises
    ------
    ValueError
        If an argument does not fit, or `source` is no float32 model.
    PrecisionLossError
        If the object's phase correlates less than 0.999 with that of the float32 model, or its
        complex error exceeds 2 %.
    """
    if precision not in CONVERSIONS:
        raise ValueError(
            f"`precision` is {precision!r}; derived models are {', '.join(CONVERSIONS)}."
        )
    output = Path(output)
    check_output(output)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        if Path(source).suffix != ".onnx":
            parent_path = Path(folder) / f"float32-{output.name}"
            export_run(source, parent_path, name=name or output.stem, license=license)
        else:
            parent_path = Path(source)
        parent = Model(parent_path, provider="cpu")
        if parent.manifest.precision != "float32":
            raise ValueError(
                f"{source} is a model of precision {parent.manifest.precision}; derive from the "
                "float32 model, or from the run folder."
            )
        temporary = Path(folder) / output.name
        report = _derive(
            parent,
            temporary,
            precision=precision,
            calibration=calibration,
            name=name or output.stem,
        )
        os.replace(temporary, output)
    return dataclasses.replace(report, path=output)


def _derive(
    parent: Model, path: Path, *, precision: str, calibration: Scan, name: str
) -> PrecisionReport:
    before = reconstruct(calibration, parent, residual_patterns=0)
    whole = onnx.load(parent.path)
    samples, scale = _samples(calibration, parent.manifest)
    graph = CONVERSIONS[precision](whole, samples, scale, path.parent)
    proof = parent.manifest.verification

    def write(verification: Verification, derivation: dict[str, Any]) -> Model:
        manifest = dataclasses.replace(
            parent.manifest,
            name=name,
            precision=precision,
            parent_digest=parent.digest,
            derivation=derivation,
            verification=verification,
        )
        write_model(with_manifest(whole, graph, manifest), path)
        return Model(path, provider="cpu")

    described = {"calibration": calibration.name, "calibration_samples": len(samples)}
    model = write(proof, described)
    pairs = model.predict(proof.amplitude, proof.scale)[..., None].view(np.float32)
    largest = float(np.abs(pairs.astype(np.float64) - proof.object_patches).max())
    after = reconstruct(calibration, model, residual_patterns=0)
    measured = _measure(after, before)
    _check(measured, precision)
    # twice: other machines round other sums
    proof = dataclasses.replace(
        proof, largest_difference=largest, tolerance=max(2 * largest, proof.tolerance)
    )
    write(proof, described | measured)
    return PrecisionReport(path, path.stat().st_size, parent.path.stat().st_size, **measured)


def _measure(after: Product, before: Product) -> dict[str, float]:
    """Compare two objects of one scan on one canvas; nothing has to be aligned.

    At the rim of a scan, where few patches overlap, phases are noise, and near ±π.
    """
    assert before.coverage is not None
    usual = np.median(before.coverage[before.coverage > 0])
    is_valid = before.coverage >= usual / 2
    turn = np.exp(-1j * np.angle(before.object_[is_valid].sum(dtype=np.complex128)))
    a, b = after.object_ * turn, before.object_ * turn
    return {
        "phase_pearson": pearson(np.angle(a), np.angle(b), is_valid),
        "amplitude_pearson": pearson(np.abs(a), np.abs(b), is_valid),
        "complex_nrmse": nrmse(a, b, is_valid),
    }


def _check(measured: dict[str, float], precision: str) -> None:
    phase, error = measured["phase_pearson"], measured["complex_nrmse"]
    if not (phase >= LOWEST_PHASE_PEARSON and error <= HIGHEST_COMPLEX_NRMSE):
        raise PrecisionLossError(
            f"In {precision} the object of the calibration scan has phase Pearson {phase:.5f} and "
            f"complex error {error:.4f} against that of the float32 model; needed are at least "
            f"{LOWEST_PHASE_PEARSON} and at most {HIGHEST_COMPLEX_NRMSE}. Calibrate with the scan "
            "the model was trained on, or choose float16; no model file was written."
        )


def _samples(scan: Scan, manifest: Manifest) -> tuple[Sample, float]:
    """Return amplitudes (B, C, N, N) of groups spread over the scan, and its input scale."""
    groups = find_groups(
        scan.corners_px,
        manifest.num_channels,
        max_distance_px=manifest.max_distance_px,
        rng=np.random.default_rng(0),
    )
    num = min(len(groups), NUM_CALIBRATION_SAMPLES)
    chosen = groups[np.linspace(0, len(groups) - 1, num).round().astype(np.int64)]
    return read_amplitudes_of(scan, chosen), scale_from_counts(
        scan.window_px, counts_per_pattern(scan)
    )


def _head_convolutions(graph: onnx.GraphProto) -> set[str]:
    """Return the outputs of the last convolutions before the end."""
    producers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    waiting = [graph.output[0].name]
    while waiting:
        node = producers.get(waiting.pop())
        if node is None:
            continue
        if node.op_type == "Conv":
            found.add(node.output[0])
        else:
            waiting += node.input
    return found


def _inner_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes to convert: what heads read, and everything before."""
    heads = _head_convolutions(graph)
    producers = {name: node for node in graph.node for name in node.output}
    reached: set[str] = set()
    waiting = [name for node in graph.node if node.output[0] in heads for name in node.input]
    while waiting:
        name = waiting.pop()
        if name in producers and name not in reached:
            reached.add(name)
            waiting += producers[name].input
    after: set[str] = set()  # the first convolution
    for node in graph.node:
        if node.op_type == "Conv" or after & set(node.input):
            after.add(node.output[0])
    reached &= after
    return [node for node in graph.node if node.output[0] in reached and node.op_type in INNER_OPS]


def _to_int8(
    model: onnx.ModelProto, samples: Sample, scale: float, folder: Path
) -> onnx.GraphProto:
    """Quantise to 8 bits: features by the range they have on the samples, weights by channel."""
    prepared = onnx.ModelProto.FromString(model.SerializeToString())
    helper.set_model_props(prepared, {PREPARED: "onnxruntime.quant"})
    for index, node in enumerate(prepared.graph.node):
        node.name = f"{node.op_type}_{index}"
    inner = {node.name for node in _inner_nodes(prepared.graph)}
    quantised = folder / "quantised.onnx"
    quantize_static(
        prepared,
        quantised,
        _Reader(samples, scale),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=list(INNER_OPS),
        nodes_to_exclude=[node.name for node in prepared.graph.node if node.name not in inner],
        calibrate_method=CalibrationMethod.MinMax,
    )
    return onnx.load(quantised).graph


class _Reader(CalibrationDataReader):
    """Hands out the samples batch by batch."""

    def __init__(self, samples: Sample, scale: float) -> None:
        self._batches = self._feeds(samples, np.array([scale], dtype=np.float32))

    @staticmethod
    def _feeds(samples: Sample, scale: Sample) -> Iterator[dict[str, Sample]]:
        for start in range(0, len(samples), BATCH):
            yield {"amplitude": samples[start : start + BATCH], "scale": scale}

    def get_next(self) -> dict[str, Sample] | None:
        """Return the next batch, or None after the last."""
        return next(self._batches, None)


def _to_float16(
    model: onnx.ModelProto, samples: Sample, scale: float, folder: Path
) -> onnx.GraphProto:
    """Compute all but the heads in float16; casts stand where it begins and ends."""
    graph = onnx.GraphProto.FromString(model.graph.SerializeToString())
    inner = _inner_nodes(graph)
    made = {node.output[0] for node in inner}
    weights = _weights_of(inner)
    for tensor in graph.initializer:
        if tensor.name in weights:
            _replace(tensor, numpy_helper.to_array(tensor).astype(np.float16))
    casts: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, to: int) -> str:
        if (name, to) not in casts:
            casts[name, to] = f"{name}_as_{'half' if to == TensorProto.FLOAT16 else 'float'}"
            nodes.append(helper.make_node("Cast", [name], [casts[name, to]], to=to))
        return casts[name, to]

    for node in graph.node:
        is_inner = node.output[0] in made
        for place, name in enumerate(node.input):
            is_image = place == 0 or node.op_type == "Concat"
            if is_inner and is_image and name not in made:
                node.input[place] = cast(name, TensorProto.FLOAT16)
            elif not is_inner and name in made:
                node.input[place] = cast(name, TensorProto.FLOAT)
        nodes.append(node)
    return helper.make_graph(nodes, graph.name, [], [], initializer=graph.initializer)


def _to_bfloat16(
    model: onnx.ModelProto, samples: Sample, scale: float, folder: Path
) -> onnx.GraphProto:
    """Store kernels in bfloat16; opset 18 has no convolution in it, so they are widened on loading."""
    graph = onnx.GraphProto.FromString(model.graph.SerializeToString())
    kernels = {node.input[1] for node in _inner_nodes(graph) if node.op_type == "Conv"}
    widened = []
    for tensor in graph.initializer:
        if tensor.name in kernels:
            name = tensor.name
            tensor.name = f"{name}_bfloat16"
            _replace(tensor, numpy_helper.to_array(tensor).astype(ml_dtypes.bfloat16))
            widened.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*widened, *graph.node]
    return helper.make_graph(nodes, graph.name, [], [], initializer=graph.initializer)


def _weights_of(nodes: list[onnx.NodeProto]) -> set[str]:
    return {name for node in nodes if node.op_type == "Conv" for name in node.input[1:]}


def _replace(tensor: onnx.TensorProto, array: NDArray[Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


Convert = Callable[[onnx.ModelProto, Sample, float, Path], onnx.GraphProto]
CONVERSIONS: dict[str, Convert] = {
    "float16": _to_float16,
    "bfloat16": _to_bfloat16,
    "int8": _to_int8,
}
"""Precision -> function that gives the graph in it."""
assert set(PRECISIONS) == {"float32", *CONVERSIONS}
