"""A foreign network computes in a model file what it computed in its own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="graphs are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")

import onnxruntime as ort
from foreign_files import foreign_network, write
from onnx import helper, numpy_helper

from ptychonyx.export.errors import ExportMismatchError
from ptychonyx.export.importers import OUTPUTS, InputRule, foreign_onnx, import_onnx
from ptychonyx.export.importers.head import features_of
from ptychonyx.runtime.model.session import Model

PLAIN = InputRule("intensity", "none")
COUNTS = 20.0


def amplitudes(num: int, side_px: int) -> Any:
    counts = np.random.default_rng(1).poisson(COUNTS, (num, 1, side_px, side_px))
    return np.sqrt(counts).astype(np.float32)


def bare(path: Path, features: Any, batch: int = 8) -> Any:
    """Run the file itself, as any user of onnxruntime would: in full batches."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    num_full = -(-len(features) // batch) * batch
    filled = np.zeros((num_full, *features.shape[1:]), np.float32)
    filled[: len(features)] = features
    name = session.get_inputs()[0].name
    outputs = [
        session.run(None, {name: filled[start : start + batch]})[0]
        for start in range(0, num_full, batch)
    ]
    return np.concatenate(outputs)[: len(features)]


def imported(path: Path, rule: InputRule = PLAIN, meaning: str = "phase", crop: int = 16) -> Model:
    output = path.parent / "model.onnx"
    import_onnx(path, output, rule=rule, meaning=meaning, crop=crop, license="BSD-3-Clause")
    return Model(output, provider="cpu")


@pytest.mark.parametrize("num", [1, 7, 8, 64])
def test_patches_are_those_of_the_bare_graph(num: int, tmp_path: Path) -> None:
    path, amplitude = write(foreign_network(), tmp_path), amplitudes(num, 32)
    model = imported(path)
    phase = bare(path, amplitude**2)[..., 8:24, 8:24]
    np.testing.assert_allclose(model.predict(amplitude, 0.3), np.exp(1j * phase), atol=1e-5)
    assert model.manifest.provenance_digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.manifest.training_summary["source_batch"] == 8
    assert (model.manifest.backend, model.manifest.license) == ("pytorch", "BSD-3-Clause")


@pytest.mark.parametrize("num", [1, 7, 8, 64])
def test_patches_of_the_network_of_the_aps_are_those_of_its_graph(
    foreign_models: Path, num: int, tmp_path: Path
) -> None:
    source = foreign_models / "ptychoNN_8.onnx"
    path = tmp_path / "net.onnx"
    path.write_bytes(source.read_bytes())
    amplitude = amplitudes(num, 128)
    phase = bare(path, amplitude**2)[..., 32:96, 32:96]
    patches = imported(path, crop=64).predict(amplitude, 1.0)
    np.testing.assert_allclose(patches, np.exp(1j * phase), atol=1e-5)


@pytest.mark.parametrize(
    ("rule", "features"),
    [
        (InputRule("amplitude", "scan"), lambda a: a * 0.3),
        (InputRule("intensity", "maximum"), lambda a: (a**2) / np.max(a**2, (2, 3), keepdims=True)),
        (InputRule("log", "divide:2.302585093"), lambda a: np.log10(1 + a**2)),
        (InputRule("amplitude", "standardise:4,0.5"), lambda a: (a - 4) / 0.5),
        (InputRule("amplitude", "none", threshold=20), lambda a: np.where(a**2 > 19.5, a, 0)),
        (
            InputRule("intensity", "divide:20", block_px=2),
            lambda a: (a**2 / 20).reshape(len(a), 1, 32, 2, 32, 2).mean((3, 5)),
        ),
    ],
    ids=lambda value: value.describe() if isinstance(value, InputRule) else "",
)
def test_the_head_gives_the_network_what_it_was_trained_on(
    rule: InputRule, features: Any, tmp_path: Path
) -> None:
    path = write(foreign_network(), tmp_path)
    amplitude = amplitudes(3, 32 * rule.block_px)
    phase = bare(path, features(amplitude).astype(np.float32))[..., 8:24, 8:24]
    patches = imported(path, rule).predict(amplitude, 0.3)
    np.testing.assert_allclose(patches, np.exp(1j * phase), atol=2e-5)


COMPLEX = {
    "amplitude": lambda image: image[0] + 0j,
    "phase": lambda image: np.exp(1j * image[0]),
    "amplitude-phase": lambda image: image[0] * np.exp(1j * image[1]),
    "phase-amplitude": lambda image: image[1] * np.exp(1j * image[0]),
    "real-imaginary": lambda image: image[0] + 1j * image[1],
}


@pytest.mark.parametrize("is_apart", [False, True])
@pytest.mark.parametrize("meaning", OUTPUTS)
def test_outputs_become_complex_patches(meaning: str, is_apart: bool, tmp_path: Path) -> None:
    num = len(OUTPUTS[meaning])
    network = foreign_network(num_images=num, batch="batch")
    path, amplitude = write(network, tmp_path), amplitudes(2, 32)
    images = bare(path, amplitude**2, 2)[..., 8:24, 8:24]
    if is_apart and num == 2:
        split_outputs(network)
        write(network, tmp_path)
    patches = imported(path, meaning=meaning).predict(amplitude, 1.0)
    expected = COMPLEX[meaning](images.swapaxes(0, 1))[:, None]
    np.testing.assert_allclose(patches, expected, atol=1e-5)


def split_outputs(network: Any) -> None:
    """Let the two images of a network be outputs of their own."""
    rows = {"zero": [0], "one": [1], "two": [2], "channels": [1]}
    network.graph.initializer.extend(
        numpy_helper.from_array(np.array(row), name) for name, row in rows.items()
    )
    del network.graph.output[:]
    for name, first, last in (("first", "zero", "one"), ("second", "one", "two")):
        network.graph.node.append(
            helper.make_node("Slice", ["94", first, last, "channels"], [name])
        )
        network.graph.output.append(helper.make_tensor_value_info(name, 1, ["batch", 1, 32, 32]))


@pytest.mark.parametrize("name", ["features", "foreign_0", "amplitude", "head_0", "value_0_0"])
def test_tensors_may_have_our_names(name: str, tmp_path: Path) -> None:
    network, amplitude = foreign_network(), amplitudes(2, 32)
    first, second = network.graph.node[:2]
    first.output[0] = second.input[0] = name
    path = write(network, tmp_path)
    phase = bare(path, amplitude**2)[..., 8:24, 8:24]
    np.testing.assert_allclose(
        imported(path).predict(amplitude, 1.0), np.exp(1j * phase), atol=1e-5
    )


def test_a_newer_file_format_than_onnxruntime_reads_is_no_obstacle(tmp_path: Path) -> None:
    network = foreign_network()
    network.ir_version = 99
    model = imported(write(network, tmp_path))
    assert model.manifest.training_summary["source_ir_version"] == 99
    assert model.verify().passed


def with_external_data(network: Any) -> None:
    network.graph.initializer[0].data_location = 1


def with_external_constant(network: Any) -> None:
    network.graph.node[3].attribute[0].t.data_location = 1


def with_a_loop(network: Any) -> None:
    network.graph.node[-1].attribute.append(helper.make_attribute("body", network.graph))


def with_fixed_batch(network: Any) -> None:
    shape = numpy_helper.from_array(np.array([8, 1, 32, 32]), "shape")
    network.graph.initializer.append(shape)
    network.graph.node.append(helper.make_node("Reshape", ["94", "shape"], ["reshaped"]))
    network.graph.output[0].name = "reshaped"


def with_foreign_operator(network: Any) -> None:
    network.graph.node[-1].domain = "com.example"


def with_two_patterns(network: Any) -> None:
    network.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (with_external_data, "data of `up` in another file"),
        (with_external_constant, "constant `nowhere` is no array within the file"),
        (with_a_loop, "Mul has a graph of its own"),
        (with_fixed_batch, r"cannot be run|is fixed within it"),
        (with_foreign_operator, r"outside the ONNX standard \(com.example\)"),
        (with_two_patterns, r"not one \(batch, 1, n, n\)"),
        (lambda network: network.graph.node[6].__setattr__("op_type", "Softsign"), "Softsign"),
    ],
)
def test_what_the_runtime_does_not_run_is_refused(spoil: Any, message: str, tmp_path: Path) -> None:
    network = foreign_network()
    spoil(network)
    with pytest.raises(ValueError, match=message):
        imported(write(network, tmp_path))
    assert not (tmp_path / "model.onnx").exists()


def test_arguments_that_do_not_go_with_the_network_are_refused(tmp_path: Path) -> None:
    path = write(foreign_network(), tmp_path)
    with pytest.raises(ValueError, match=r"real-imaginary, 2 images, but .* \[1\] channels"):
        imported(path, meaning="real-imaginary")
    with pytest.raises(ValueError, match=r"`crop` is 17, but the network gives 32×32"):
        imported(path, crop=17)
    for scaling in ("guess", "divide", "divide:0", "standardise:1", "divide:x", "none:1"):
        with pytest.raises(ValueError, match=r"`scaling` is '.*; give none, scan"):
            InputRule("amplitude", scaling)
    network = foreign_network()
    network.producer_name = ""
    with pytest.raises(ValueError, match="give `backend`, tensorflow or pytorch"):
        imported(write(network, tmp_path))


def test_a_head_that_computes_something_else_gets_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(foreign_network(), tmp_path)
    monkeypatch.setattr(foreign_onnx, "features_of", lambda *given: 1.01 * features_of(*given))
    with pytest.raises(ExportMismatchError):
        imported(path)
    assert not (tmp_path / "model.onnx").exists()
