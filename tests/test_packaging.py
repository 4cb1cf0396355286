"""Guard the layout: three source roots that form one namespace, light imports, and the locks."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from locks import LOCK, constraints, read_lock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PARTS = ("runtime", "export", "training")
LOCKS = sorted(ROOT.glob("lock*.txt"))
ONNXRUNTIMES = {"onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"}
FRAMEWORKS = {"torch", "lightning", "tensorflow", "keras", "onnx", "tf2onnx", "onnxscript"}


def modules_after(code: str) -> set[str]:
    paths = [str(ROOT / part) for part in PARTS]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = {paths!r}; {code}; print(*sys.modules)",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("part", PARTS)
def test_namespace_has_no_init(part: str) -> None:
    assert (ROOT / part / "ptychonyx" / part / "__init__.py").is_file()
    assert (ROOT / part / "ptychonyx" / part / "py.typed").is_file()
    assert not (ROOT / part / "ptychonyx" / "__init__.py").exists()


def test_runtime_imports_no_framework() -> None:
    assert not FRAMEWORKS & modules_after("import ptychonyx.runtime")


def test_training_imports_no_framework() -> None:
    assert not FRAMEWORKS & modules_after("import ptychonyx.training")


def test_the_runtime_imports_nothing_that_few_need() -> None:
    heavy = {"skimage", "matplotlib", "dask", "distributed", "PIL", "onnxruntime", "yaml", "rich"}
    assert not heavy & modules_after("import ptychonyx.runtime")


@pytest.mark.parametrize("part", ["runtime", "training", "export"])
def test_no_function_of_the_public_face_shadows_a_module(part: str) -> None:
    if part == "export":
        pytest.importorskip("onnx", reason="export needs it")
    face = importlib.import_module(f"ptychonyx.{part}")
    modules = {name for _, name, _ in pkgutil.iter_modules(face.__path__)}
    offered = {name for name, value in vars(face).items() if not inspect.ismodule(value)}
    assert not modules & offered


def test_what_is_deferred_is_there() -> None:
    from ptychonyx import runtime

    assert runtime.simulate_scan.__name__ == "simulate_scan"
    assert runtime.solve_halves.__name__ == "solve_halves"
    assert runtime.reconstruct_many.__name__ == "reconstruct_many"
    assert re.fullmatch(r"\d+\.\d+\.\d+", runtime.__version__)
    with pytest.raises(AttributeError, match="no attribute 'reconstruct_all'"):
        _ = runtime.reconstruct_all


def test_dask_is_imported_only_when_a_fleet_starts() -> None:
    assert not {"dask", "distributed", "PIL"} & modules_after(
        "import ptychonyx.runtime.fleet.fleet"
    )


@pytest.mark.tensorflow
@pytest.mark.pytorch
@pytest.mark.parametrize(
    ("backend", "other"),
    [("tensorflow", {"torch", "lightning"}), ("pytorch", {"tensorflow", "keras"})],
)
def test_choosing_one_backend_never_imports_the_other(backend: str, other: set[str]) -> None:
    code = f"import ptychonyx.training, ptychonyx.training.{backend}.train"
    assert not other & modules_after(code)


@pytest.mark.parametrize(
    "path", sorted((ROOT).glob("*/ptychonyx/**/*.py")), ids=lambda path: "/".join(path.parts[-3:])
)
def test_frameworks_are_imported_only_in_their_own_folder(path: Path) -> None:
    allowed = {
        "tensorflow": {"tensorflow", "keras", "tf2onnx", "onnx"},
        "pytorch": {"torch", "lightning", "onnx"},
    }
    home = next((name for name in allowed if name in (path.stem, path.parent.name)), "")
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    export = {"onnx"} if "export" in path.parts else set()
    assert found & FRAMEWORKS <= allowed.get(home, set()) | export


@pytest.mark.parametrize(
    ("backend", "hidden", "message"),
    [
        ("pytorch", "torch", "PyTorch backend selected, but torch is not installed"),
        ("pytorch", "lightning", "PyTorch backend selected, but lightning is not installed"),
        (
            "tensorflow",
            "tensorflow",
            "TensorFlow backend selected, but tensorflow is not installed",
        ),
    ],
)
def test_missing_backend_is_named_with_its_cure(
    backend: str, hidden: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    from ptychonyx.training.backends import require_backend

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == hidden else found(name)
    )
    with pytest.raises(RuntimeError, match=message) as caught:
        require_backend(backend)
    assert f'pip install "ptychonyx[{backend}]"' in str(caught.value)


def test_unknown_backend_names_both() -> None:
    from ptychonyx.training.backends import require_backend

    with pytest.raises(ValueError, match='"tensorflow" or "pytorch"'):
        require_backend("jax")


def requirements() -> Iterator[Requirement]:
    """Everything that pyproject.toml asks for, in any extra or group, and to be built."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    extras = project["optional-dependencies"].values()
    groups = pyproject["dependency-groups"].values()
    for lines in (project["dependencies"], pyproject["build-system"]["requires"], *extras, *groups):
        yield from map(Requirement, lines)


@pytest.mark.parametrize(
    "asked", [each for each in requirements() if each.name != "ptychonyx"], ids=str
)
def test_the_lock_has_every_dependency_in_a_version_that_is_asked_for(asked: Requirement) -> None:
    locked = read_lock(LOCK.read_text())[canonicalize_name(asked.name)]
    assert asked.specifier.contains(locked.version, prereleases=True)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_file_that_a_lock_installs_is_told_by_its_hash_and_no_registry_is(lock: Path) -> None:
    for package in read_lock(lock.read_text()).values():
        assert package.hashes, package.name
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in package.hashes), package.name
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_all_locks_have_the_versions_of_the_one_that_is_tested(lock: Path) -> None:
    home, other = (read_lock(path.read_text()) for path in (LOCK, lock))
    shared = home.keys() & other.keys()
    assert {name: other[name].version.removesuffix("+cpu") for name in shared} == {
        name: home[name].version for name in shared
    }
    alone = {
        name for name in other.keys() - home.keys() if not re.match("nvidia|cuda|triton", name)
    }
    assert not alone


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_lock_installs_two_onnxruntimes_over_each_other(lock: Path) -> None:
    locked = read_lock(lock.read_text())
    installed = {name for name in ONNXRUNTIMES & locked.keys() if not locked[name].marker}
    assert len(installed) == (not lock.name.startswith("lock-torch"))


def test_constraints_are_the_versions_of_a_lock_also_of_what_pip_skips() -> None:
    lines = constraints(LOCK).splitlines()
    assert len(lines) == len(read_lock(LOCK.read_text()))
    assert {line.split("==")[0] for line in lines} >= ONNXRUNTIMES
    assert all(re.fullmatch(r"[a-z0-9-]+==[^\s;]+", line) for line in lines)


@pytest.mark.parametrize("line", ["numpy>=2", "numpy==2.0\nnumpy==2.1", "--index x"])
def test_what_is_no_lock_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="NAME==VERSION"):
        read_lock(line)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not find_spec("cyclonedx_py"), reason="cyclonedx-bom is not there")
def test_the_list_of_what_is_installed_is_whole(tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (options,) = re.findall(r"cyclonedx-py (.*) -o ", recipe)
    path = tmp_path / "sbom.json"
    command = [sys.executable, "-m", "cyclonedx_py", *options.split(), "-o", path, sys.executable]
    subprocess.run(command, cwd=ROOT, check=True)
    sbom = json.loads(path.read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {each["name"]: each["version"] for each in sbom["components"]}
    for package in ("numpy", "h5py", "onnxruntime-gpu", "torch"):
        assert listed[package] == metadata.version(package)


def test_the_first_page_leads_to_what_is_promised_about_security() -> None:
    assert (ROOT / "SECURITY.md").is_file()
    assert "](SECURITY.md)" in (ROOT / "README.md").read_text()
