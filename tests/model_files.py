"""A tiny model file whose patches are known: crop(amplitude * scale) * (1 + 0.5j)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.model.manifest import SCHEMA_VERSION, Manifest, seal, to_metadata
from ptychonyx.runtime.model.manifest.verification import Verification

FACTOR = 1 + 0.5j

TinyManifest = Callable[..., Manifest]
"""The fixture `tiny_manifest`, a function: manifest fields -> manifest."""
TinyModel = Callable[..., Any]
"""The fixture `tiny_model`, a function: manifest fields -> ModelProto."""
ModelPath = Callable[..., Path]
"""The fixture `model_path`, a function: manifest fields -> path of a model file."""


def make_manifest(
    *, window_px: int = 8, patch_px: int = 4, num_channels: int = 1, **changes: Any
) -> Manifest:
    rng = np.random.default_rng(0)
    amplitude = rng.random((2, num_channels, window_px, window_px), dtype=np.float32)
    start = (window_px - patch_px) // 2
    crop = amplitude[..., start : start + patch_px, start : start + patch_px] * np.float32(2)
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": "tiny",
        "created": "2026-01-01T00:00:00+00:00",
        "license": "MIT",
        "backend": "pytorch",
        "framework_version": "2.13",
        "exporter": "by hand",
        "exporter_version": "1",
        "opset": 18,
        "architecture": "crop",
        "architecture_options": {"filters": 0.5},
        "window_px": window_px,
        "num_channels": num_channels,
        "max_distance_px": 2.0,
        "patch_px": patch_px,
        "input_quantity": "amplitude",
        "scaling_rule": "amplitude * scale",
        "trained_scale": 0.25,
        "object_convention": "|O| = 1 is vacuum",
        "probe": None,
        "probe_energy_eV": None,
        "pixel_size_m": 1e-8,
        "training_summary": {"epochs": 3},
        "provenance_digest": "00",
        "parent_digest": None,
        "precision": "float32",
        "verification": Verification(
            amplitude=amplitude,
            scale=2.0,
            object_patches=np.stack([crop, crop * np.float32(0.5)], axis=-1),
            largest_difference=0.0,
            tolerance=1e-5,
        ),
    }
    return Manifest(**(values | changes))


def make_model(manifest: Manifest) -> Any:
    onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    side, patch, channels = manifest.window_px, manifest.patch_px, manifest.num_channels
    start = (side - patch) // 2
    constants = {
        "starts": np.array([start, start], np.int64),
        "stops": np.array([start + patch, start + patch], np.int64),
        "axes": np.array([2, 3], np.int64),
        "last": np.array([-1], np.int64),
        "half": np.array(0.5, np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["amplitude", "scale"], ["scaled"]),
        helper.make_node("Slice", ["scaled", "starts", "stops", "axes"], ["crop"]),
        helper.make_node("Mul", ["crop", "half"], ["imaginary"]),
        helper.make_node("Unsqueeze", ["crop", "last"], ["real_last"]),
        helper.make_node("Unsqueeze", ["imaginary", "last"], ["imaginary_last"]),
        helper.make_node("Concat", ["real_last", "imaginary_last"], ["object_patches"], axis=-1),
    ]

    def value(name: str, shape: list[int | str]) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("amplitude", ["batch", channels, side, side]), value("scale", [1])],
        [value("object_patches", ["batch", channels, patch, patch, 2])],
        initializer=[numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, to_metadata(manifest))
    return model


def document_of(model: Any) -> str:
    """Return the manifest of a ModelProto, as it is written there."""
    return str(model.metadata_props[0].value)


def redescribe(model: Any, document: str) -> None:
    """Give a ModelProto another manifest and its sha256, as somebody with intent would."""
    onnx = pytest.importorskip("onnx", reason="model files are changed with the onnx package")
    onnx.helper.set_model_props(model, seal(document))


@pytest.fixture
def tiny_manifest() -> TinyManifest:
    """Return a function: manifest fields -> manifest."""
    return make_manifest


@pytest.fixture
def tiny_model() -> TinyModel:
    """Return a function: manifest fields -> ModelProto."""
    return lambda **changes: make_model(make_manifest(**changes))


@pytest.fixture
def model_path(tmp_path: Path) -> ModelPath:
    """Return a function: manifest fields -> path of a model file."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "tiny.onnx"
        path.write_bytes(make_model(make_manifest(**changes)).SerializeToString())
        return path

    return write
