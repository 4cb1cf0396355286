"""A tiny solver's file whose change is known: half of its first two features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.model.manifest import SCHEMA_VERSION, SolverManifest, to_metadata
from ptychonyx.runtime.model.manifest.solver_proof import SolverVerification, draw_test_features

NUM_FEATURES, STRIDE_PX = 3, 4
TEST_SIZES_PX = ((32, 48), (36, 48))

SolverPath = Callable[..., Path]
"""The fixture `solver_path`, a function: manifest fields -> path of a model file."""


def make_solver_manifest(**changes: Any) -> SolverManifest:
    features = [draw_test_features(NUM_FEATURES, size) for size in TEST_SIZES_PX]
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": "tiny solver",
        "created": "2026-01-01T00:00:00+00:00",
        "license": "MIT",
        "backend": "pytorch",
        "framework_version": "2.13",
        "exporter": "by hand",
        "exporter_version": "1",
        "opset": 18,
        "architecture": "half",
        "architecture_options": {"widths": [1]},
        "training_summary": {"steps": 3},
        "provenance_digest": "00",
        "parent_digest": None,
        "precision": "float32",
        "feature_version": 1,
        "num_features": NUM_FEATURES,
        "stride_px": STRIDE_PX,
        "trained_passes": 20,
        "scores": {"phase": 0.9},
        "verification": SolverVerification(
            changes=tuple(each[:2] * np.float32(0.5) for each in features),
            largest_difference=0.0,
            tolerance=1e-5,
        ),
    }
    return SolverManifest(**(values | changes))


def make_solver(manifest: SolverManifest, factor: float = 0.5) -> Any:
    onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    constants = {
        "start": np.array([0], np.int64),
        "stop": np.array([2], np.int64),
        "axis": np.array([1], np.int64),
        "factor": np.array(factor, np.float32),
    }

    def value(name: str, num_images: int) -> Any:
        shape = [1, num_images, "rows", "columns"]
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["features", "start", "stop", "axis"], ["first"]),
            helper.make_node("Mul", ["first", "factor"], ["change"]),
        ],
        "tiny",
        [value("features", NUM_FEATURES)],
        [value("change", 2)],
        initializer=[numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, to_metadata(manifest))
    return model


@pytest.fixture
def solver_path(tmp_path: Path) -> SolverPath:
    """Return a function: manifest fields, and perhaps a factor -> path of a model file."""

    def write(factor: float = 0.5, **changes: Any) -> Path:
        path = tmp_path / "solver.onnx"
        path.write_bytes(make_solver(make_solver_manifest(**changes), factor).SerializeToString())
        return path

    return write
