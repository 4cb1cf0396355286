"""The plugin's border to Ptychodus, without Ptychodus: whatever is there, it starts."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

PLUGIN = Path(__file__).parents[1] / "runtime" / "ptychodus_plugin"
CORE = "ptychodus.model.core"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(PLUGIN))
    yield importlib.import_module("ptychonyx_ptychodus.hook")
    for name in [name for name in sys.modules if name.startswith("ptychonyx_ptychodus")]:
        del sys.modules[name]


class Core:
    """Takes what `ProcessingCore` of Ptychodus 1.3 to 1.7 takes."""

    def __init__(
        self, task_manager: object, settings_registry: object, algorithm_libraries: list[str]
    ) -> None:
        self.libraries = algorithm_libraries


def fresh_core() -> type:
    return type("ProcessingCore", (), {"__init__": Core.__init__})


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_other_commands_of_ptychodus_get_nothing(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, CORE, raising=False)
    hook.register(object())
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("core", "reason"),
    [
        (SimpleNamespace(), "no ProcessingCore"),
        (SimpleNamespace(ProcessingCore=dict), "takes other arguments"),
        (SimpleNamespace(ProcessingCore=Core), "ptychodus"),  # its api is not there to import
    ],
)
def test_an_unknown_ptychodus_is_one_warning(
    core: Any,
    reason: str,
    hook: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, CORE, core)
    monkeypatch.setitem(sys.modules, "ptychodus.api", None)  # hides a real one
    before = Core.__init__
    hook.register(object())
    (line,) = warnings(caplog)
    assert line.startswith("Ptychonyx is switched off")
    assert reason in line
    assert "reconstruct-folder" in line
    assert Core.__init__ is before


def test_the_library_is_added_once_however_often_plugins_are_loaded(hook: ModuleType) -> None:
    core, given = fresh_core(), ["theirs"]
    hook.extend(core, lambda registry: f"first of {registry}")
    hook.extend(core, lambda registry: f"second of {registry}")
    assert core("tasks", "settings", given).libraries == ["theirs", "second of settings"]
    made = core(task_manager=0, algorithm_libraries=given, settings_registry="other")
    assert made.libraries == ["theirs", "second of other"]
    assert given == ["theirs"]


def test_a_library_that_cannot_be_made_leaves_the_others(
    hook: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(registry: object) -> object:
        raise OSError("a library of the system is missing")

    core = fresh_core()
    hook.extend(core, fail)
    assert core("tasks", "settings", ["theirs"]).libraries == ["theirs"]
    (line,) = warnings(caplog)
    assert line == "Ptychonyx is switched off: a library of the system is missing"


def test_nothing_leaves_the_file_that_ptychodus_discovers(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = PLUGIN / "ptychodus" / "plugins" / "ptychonyx_plugin.py"
    names: dict[str, Any] = {"__name__": "ptychodus.plugins.ptychonyx_plugin"}
    exec(compile(path.read_text(), str(path), "exec"), names)

    def fail(registry: object) -> None:
        raise ImportError("DLL load failed")

    monkeypatch.setattr(hook, "register", fail)
    names["register_plugins"](object())
    assert warnings(caplog) == ["Ptychonyx is switched off: DLL load failed"]
    monkeypatch.setitem(sys.modules, "ptychonyx_ptychodus", None)
    monkeypatch.setitem(sys.modules, "ptychonyx_ptychodus.hook", None)
    names["register_plugins"](object())
    assert len(warnings(caplog)) == 2


def test_the_wheel_adds_no_package_to_ptychodus() -> None:
    assert [path.name for path in (PLUGIN / "ptychodus").rglob("*.py")] == ["ptychonyx_plugin.py"]
