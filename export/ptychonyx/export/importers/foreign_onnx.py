"""A foreign ONNX file -> a model file: wrapped, not rewritten, and proven against the file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from ptychonyx.runtime.groups import default_max_distance_px
from ptychonyx.runtime.model.manifest import INPUT_NAMES, SCHEMA_VERSION, Manifest
from ptychonyx.runtime.model.manifest.verification import TOLERANCES, Verification
from ptychonyx.runtime.simulation.probes import focused_probe

from ..graph.assemble import BARE_INPUT, OPSET, whole_model
from ..model_file import check_output
from ..proof import draw_test_amplitude, real_pairs
from ..proven import ExportReport, write_proven
from .head import InputRule, features_of, head_of
from .source import ForeignNetwork, read_foreign
from .tail import parts_of, patches_of, tail_of

TEST_COUNTS = 1e5
"""Counts of a test pattern."""
BACKEND_OF = {"pytorch": "pytorch", "tf2onnx": "tensorflow", "keras2onnx": "tensorflow"}
"""Producer that an ONNX file names -> the framework whose networks it writes."""
NOT_STATED = "not stated"
CONVENTIONS = {
    "phase": "phase only: |O| = 1 everywhere; the global phase is as the network gives it",
    "amplitude": "amplitude only: the phase is 0 everywhere",
}
"""Word for the outputs -> what is not in them."""


def import_onnx(
    source: Path,
    output: Path,
    *,
    rule: InputRule,
    meaning: str,
    crop: int,
    license: str,
    backend: str | None = None,
    name: str | None = None,
) -> ExportReport:
    """Import a network of another project; the file is written only if it computes the same.

    The proof is made with the source: its own graph computes the outputs for two test patterns, with
    the input and the patches computed by NumPy.

    Parameters
    ----------
    source : Path
        An ONNX file with one input (batch, 1, n, n).
    output : Path
        The model file, ending in .onnx.
    rule : InputRule
        What the network was trained on.
    meaning : str
        What its outputs are, one of `OUTPUTS`.
    crop : int
        M, the side of the central part of each patch that is used.
    license : str
        License of the network, as its authors gave it.
    backend : "tensorflow" or "pytorch", optional
        What trained it; by default from the producer that the file names.
    name : str, optional
        Name in the manifest; by default that of the output.

    Raises
    ------
    ValueError
        If the file cannot be imported, or an argument does not go with it.
    ExportMismatchError
        If the wrapped network computes something else; nothing is written.
    """
    source, output = Path(source), Path(output)
    check_output(output)
    network = read_foreign(source)
    parts = parts_of(meaning, network.num_channels)
    _check_crop(crop, network.window_px)
    trained_by = backend or BACKEND_OF.get(network.producer.lower())
    if trained_by is None:
        raise ValueError(
            f"{source} does not say which framework trained it (producer {network.producer[:40]!r}); "
            "give `backend`, tensorflow or pytorch."
        )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=name or output.stem,
        created=NOT_STATED,
        license=license,
        backend=trained_by,
        framework_version=network.producer_version or NOT_STATED,
        exporter="onnx",
        exporter_version=onnx.__version__,
        opset=OPSET,
        architecture="imported",
        architecture_options={"outputs": meaning, "input_side_px": network.window_px},
        window_px=network.window_px * rule.block_px,
        num_channels=1,
        max_distance_px=default_max_distance_px(network.window_px * rule.block_px),
        patch_px=crop,
        input_quantity="amplitude",
        scaling_rule=rule.describe(),
        trained_scale=1.0,
        object_convention=CONVENTIONS.get(meaning, "as the network gives it"),
        probe=None,
        probe_energy_eV=None,
        pixel_size_m=None,
        training_summary=_provenance(network, source),
        provenance_digest=network.digest,
        parent_digest=None,
        precision="float32",
        verification=_proof(network, rule, parts, crop),
    )
    return write_proven(_assembled(network, rule, parts, manifest), manifest, output)


def _check_crop(crop: int, window_px: int) -> None:
    if not 0 < crop <= window_px or (window_px - crop) % 2:
        raise ValueError(
            f"`crop` is {crop}, but the network gives {window_px}×{window_px}; give an "
            f"{'odd' if window_px % 2 else 'even'} number of pixels of at most that."
        )


def _provenance(network: ForeignNetwork, source: Path) -> dict[str, int | str | None]:
    return {
        "source": source.name,
        "source_sha256": network.digest,
        "source_opset": network.opset,
        "source_ir_version": network.ir_version,
        "source_batch": network.batch,
    }


def _assembled(
    network: ForeignNetwork, rule: InputRule, parts: tuple[str, ...], manifest: Manifest
) -> onnx.ModelProto:
    """Return the whole model: head, the network as it is, tail."""
    head = head_of(rule, (*INPUT_NAMES, BARE_INPUT), network.window_px)
    tail = tail_of(parts, network.outputs, window_px=network.window_px, patch_px=manifest.patch_px)
    return whole_model(
        [*head.nodes, *network.graph.node, *tail.nodes],
        [*head.constants, *network.graph.initializer, *tail.constants],
        manifest,
    )


def _proof(
    network: ForeignNetwork, rule: InputRule, parts: tuple[str, ...], crop: int
) -> Verification:
    """Let the file's own graph compute the patches of two test patterns."""
    window_px = network.window_px * rule.block_px
    probe = (focused_probe(window_px, 1) * np.sqrt(TEST_COUNTS)).astype(np.complex64)
    amplitude = draw_test_amplitude(probe, 1, np.random.default_rng(0))
    scale = float(window_px / 2 / np.sqrt(TEST_COUNTS))
    outputs = native_outputs(network, features_of(rule, amplitude, scale))
    return Verification(
        amplitude=amplitude,
        scale=scale,
        object_patches=real_pairs(patches_of(parts, outputs, crop)),
        largest_difference=0.0,
        tolerance=TOLERANCES["cpu"],
    )


def native_outputs(
    network: ForeignNetwork, features: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Run the network as its file has it, in its own batches, filled up with zeros.

    Parameters
    ----------
    network : ForeignNetwork
    features : float32 array, shape (B, 1, n, n)

    Returns
    -------
    list of float32 array, each of shape (B, channels, n, n)
    """
    import onnxruntime  # heavy

    session = onnxruntime.InferenceSession(network.native, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    size = network.batch or len(features)
    batches = []
    for start in range(0, len(features), size):
        batch = features[start : start + size]
        filled = np.zeros((size, *batch.shape[1:]), dtype=np.float32)
        filled[: len(batch)] = batch
        batches.append([each[: len(batch)] for each in session.run(None, {name: filled})])
    return [np.concatenate(each) for each in zip(*batches, strict=True)]
