"""A solver's model computes what its file says, proves it, and is not taken for one of patches."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import ModelPath
from numpy.typing import NDArray
from solver_files import SolverPath, make_solver, make_solver_manifest

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.kinds import open_model
from ptychonyx.runtime.model.manifest import SolverManifest
from ptychonyx.runtime.model.model_file import load_manifest, open_model_file
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.solver import SolverModel

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


def features(height: int = 8, width: int = 12) -> NDArray[np.float32]:
    return np.random.default_rng(2).random((3, height, width), dtype=np.float32)


@pytest.mark.parametrize("size", [(4, 4), (8, 12), (40, 4)])
def test_change(solver_path: SolverPath, size: tuple[int, int]) -> None:
    given = features(*size)
    change = SolverModel(solver_path(), provider="cpu").change(given)
    assert change.dtype == np.float32
    np.testing.assert_array_equal(change, given[:2] / 2)


def test_change_takes_parts_of_larger_arrays(solver_path: SolverPath) -> None:
    wide = features(8, 24)[:, ::2, ::2]
    np.testing.assert_array_equal(
        SolverModel(solver_path(), provider="cpu").change(wide), wide[:2] / 2
    )


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (features().astype(np.float64), TypeError, "float64"),
        (features()[0], ValueError, r"expected \(3, H, W\)"),
        (features()[:2], ValueError, r"\(2, 8, 12\), expected \(3, H, W\)"),
        (features(8, 10), ValueError, "multiples of 4"),
        (features()[:, :0], ValueError, "multiples of 4"),
        (np.where(features() > 0.99, np.nan, features()), ValueError, "Feature . is not finite"),
    ],
)
def test_change_refuses(
    solver_path: SolverPath, given: NDArray[Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        SolverModel(solver_path(), provider="cpu").change(given)


def test_what_a_solver_says_of_itself(solver_path: SolverPath) -> None:
    path = solver_path(name="mine")
    model = SolverModel(path, provider="cpu", num_threads=1)
    assert (model.path, model.manifest.name) == (path, "mine")
    assert (model.provider, model.providers) == ("cpu", ("CPUExecutionProvider",))
    file = open_model_file(path)
    assert isinstance(file.manifest, SolverManifest)
    assert file.digest == model.digest
    assert load_manifest(path).to_json() == model.manifest.to_json()


def test_verify_passes_and_notices_a_changed_weight(solver_path: SolverPath) -> None:
    good = SolverModel(solver_path(), provider="cpu").verify()
    assert (good.passed, good.largest_difference, good.provider) == (True, 0.0, "cpu")
    bad = SolverModel(solver_path(factor=0.5001), provider="cpu").verify()
    assert not bad.passed
    assert 0.9e-4 < bad.largest_difference < 1.1e-4
    assert not SolverModel(solver_path(factor=np.nan), provider="cpu").verify().passed


def test_a_large_change_may_differ_by_a_share_of_it(solver_path: SolverPath) -> None:
    proof = make_solver_manifest().verification
    large = tuple(change * np.float32(2000) for change in proof.changes)
    path = solver_path(factor=1000.005, verification=dataclasses.replace(proof, changes=large))
    result = SolverModel(path, provider="cpu").verify()
    assert result.passed
    assert result.largest_difference == pytest.approx(5e-6, rel=0.1)


def test_verify_looks_at_both_canvases(solver_path: SolverPath) -> None:
    proof = make_solver_manifest().verification
    for index in (0, 1):
        changes = [change.copy() for change in proof.changes]
        changes[index][1, -1, -1] += np.float32(1e-3)
        spoiled = dataclasses.replace(proof, changes=tuple(changes))
        assert not SolverModel(solver_path(verification=spoiled), provider="cpu").verify().passed


def test_a_model_of_the_other_kind_is_one_clear_error(
    solver_path: SolverPath, model_path: ModelPath
) -> None:
    with pytest.raises(ManifestError, match=r"solver.onnx is a model of kind `solver`.*`patches`"):
        Model(solver_path(), provider="cpu")
    with pytest.raises(ManifestError, match=r"tiny.onnx is a model of kind `patches`.*`solver`"):
        SolverModel(model_path(), provider="cpu")


def test_a_file_of_either_kind_is_opened_as_what_it_is(
    solver_path: SolverPath, model_path: ModelPath
) -> None:
    for path, kind in ((solver_path(), SolverModel), (model_path(), Model)):
        model = open_model(path, provider="cpu")
        assert isinstance(model, kind)
        assert model.verify().passed


def fixed_height(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 32


def other_features(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 15


def inputs_of_patches(model: Any) -> None:
    model.graph.input[0].name = "amplitude"


def foreign_node(model: Any) -> None:
    model.graph.node[0].domain = "com.example"


def external(model: Any) -> None:
    tensor = model.graph.initializer[-1]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (fixed_height, r"`features`.*\(1, 3, 32, 'width'\).*promises"),
        (other_features, r"`features`.*\(1, 15, 'height', 'width'\).*promises"),
        (inputs_of_patches, r"inputs \['amplitude'\].*needed are \['features'\]"),
        (foreign_node, "outside the ONNX standard"),
        (external, "another file"),
    ],
)
def test_a_bad_solver_is_refused_before_a_session(tmp_path: Path, spoil: Any, match: str) -> None:
    model = make_solver(make_solver_manifest())
    spoil(model)
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ManifestError, match=match):
        open_model_file(path)
