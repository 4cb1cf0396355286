"""What the plugin writes is compared with what it reads, without a real Ptychodus."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan

PLUGIN = Path(__file__).parents[1] / "runtime" / "ptychodus_plugin"
API = {
    "object": ("Object",),
    "probe": ("ProbeSequence",),
    "probe_positions": ("ProbePositionSequence",),
    "product": ("LossValue", "Product"),
    "reconstruct": (
        "ReconstructInput",
        "ReconstructOutput",
        "Reconstructor",
        "ReconstructorLibrary",
        "TrainableReconstructor",
        "TrainOutput",
    ),
    "settings": ("SettingsRegistry",),
    "workflow": ("FileBasedWorkflow", "WorkflowAPI"),
}
"""Modules of Ptychodus' interface -> the classes that the plugin takes from them."""


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Return a function that imports a module of the plugin."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    for name, classes in API.items():
        module = ModuleType(f"ptychodus.api.{name}")
        for each in classes:
            setattr(module, each, type(each, (), {}))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("ptychodus", "ptychodus.api"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    yield lambda name: importlib.import_module(f"ptychonyx_ptychodus.{name}")
    for name in [name for name in sys.modules if name.startswith("ptychonyx_ptychodus")]:
        del sys.modules[name]


@pytest.mark.parametrize("algorithm", ["ptychonyx_onnx", "ptychonyx_solver"])
def test_a_watched_folder_is_never_its_own_output(
    algorithm: str, plugin: Callable[[str], ModuleType], small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path / "input")
    (tmp_path / "output").symlink_to("input")
    workflow: Any = plugin("workflow").WatchedFolders(algorithm)
    workflow.library = SimpleNamespace()
    with pytest.raises(ValueError, match="would be destroyed"):
        workflow.execute(SimpleNamespace(), tmp_path / "input" / "product.h5")


def test_a_model_may_be_saved_onto_itself(
    plugin: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"network")
    os.link(tmp_path / "model.onnx", tmp_path / "same.onnx")
    module = plugin("reconstructor")
    reconstructor: Any = object.__new__(module.OnnxReconstructor)
    reconstructor._model = SimpleNamespace(path=tmp_path / "model.onnx")
    for name in ("model.onnx", "same.onnx", "copy.onnx"):
        reconstructor.save_model(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"network"


def test_training_replaces_none_of_its_scans(
    plugin: Callable[[str], ModuleType],
    small_scan: Scan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_scan(small_scan, tmp_path / "scan.h5")
    (tmp_path / "ptychonyx-train.log").symlink_to("scan.h5")
    training = plugin("training")
    monkeypatch.setattr(training, "check_installed", lambda backend: None)
    before = (tmp_path / "scan.h5").read_bytes()
    with pytest.raises(ValueError, match="would be destroyed"):
        next(training.train(tmp_path, tmp_path, SimpleNamespace(backend="pytorch")))
    assert (tmp_path / "scan.h5").read_bytes() == before
