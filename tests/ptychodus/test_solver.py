"""Passes inside a real Ptychodus: the object and the probe of the plain command, whatever the way."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from solver_files import SolverPath

from ptychonyx.runtime.formats import load_product
from ptychonyx.runtime.product import Product

from .conftest import Environment
from .test_faults import complaints

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]

MAX_DIFFERENCE = 1e-5
OPTIONS = ("Ptychonyx=Passes=4", "Ptychonyx=RefineProbe=True")


@dataclass(frozen=True)
class Ways:
    """Products by the way they were made, and what the API reported of its own."""

    products: dict[str, Product]
    command: Product
    reported: dict[str, Any]
    path: Path


@pytest.fixture(scope="module")
def ways(
    environment: Environment, solver_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Ways:
    work = tmp_path_factory.mktemp("ways")
    reported = environment.drive("solve", solver_folder, work / "api.h5", *OPTIONS)
    separate = "Ptychonyx=UseSeparateProcess=True"
    spawned = environment.drive("solve", solver_folder, work / "spawned.h5", *OPTIONS, separate)
    for result in (reported, spawned):
        assert result["failure"] is None
    batch = ("-b", "reconstruct", "-i", solver_folder, "-o", work / "batch")
    environment.call("python", "-m", "ptychodus", *batch)
    shutil.copytree(solver_folder, work / "watched" / "scan1" / "input")
    environment.drive("workflow", work / "watched", "PtychonyxSolver", *OPTIONS)
    words = ("--passes", 4, "--refine-probe", "-o", work / "command.h5")
    environment.call("ptychonyx", "reconstruct", solver_folder, *words)
    environment.call("ptychonyx", "reconstruct-folder", "-i", solver_folder, "-o", work / "folder")
    paths = {
        "api": work / "api.h5",
        "api npz": work / "api.npz",
        "spawned": work / "spawned.h5",
        "batch": work / "batch" / "product.000100.h5",
        "workflow": work / "watched" / "scan1" / "output" / "product.h5",
        "folder": work / "folder" / "product.h5",
    }
    products = {name: load_product(path) for name, path in paths.items()}
    return Ways(products, load_product(work / "command.h5"), reported, work / "api.h5")


def test_all_ways_give_the_object_of_the_command(ways: Ways, solver_folder: Path) -> None:
    given = load_product(solver_folder / "product.h5")
    for name, product in ways.products.items():
        assert product.frame == given.frame, name
        np.testing.assert_allclose(product.corners_px, given.corners_px, atol=1e-6, err_msg=name)
        difference = np.abs(product.object_ - ways.command.object_).max()
        assert difference <= MAX_DIFFERENCE, (name, difference)
    assert (ways.command.object_ != 0).mean() > 0.3


def test_the_refined_probe_stands_in_the_product(ways: Ways, solver_folder: Path) -> None:
    given, refined = load_product(solver_folder / "product.h5").probe, ways.command.probe
    scale = np.abs(refined).max()
    assert np.abs(refined - given).max() > 0.05 * scale
    for name, product in ways.products.items():
        np.testing.assert_allclose(
            product.probe, refined, atol=MAX_DIFFERENCE * scale, err_msg=name
        )
    assert ways.reported["read_back"]
    with h5py.File(ways.path) as file:
        power = np.sum(np.abs(refined.astype(np.complex128)) ** 2)
        assert file.attrs["probe_photon_count"] == pytest.approx(power, rel=1e-5)


def test_progress_goes_with_losses(ways: Ways) -> None:
    assert ways.command.pass_residuals is not None
    epochs, values = zip(*ways.reported["losses"], strict=True)
    assert epochs == (1, 2, 3, 4)
    np.testing.assert_allclose(values, ways.command.pass_residuals, rtol=1e-4)
    names = [f"product.{percent:06d}.h5" for percent in (25, 50, 75, 99, 100)]
    assert ways.reported["checkpoints"] == names
    assert ways.reported["modules"] == []
    log = [text for _, name, text in ways.reported["log"] if "ptychonyx" in name]
    assert any(text.startswith("Pass 3 leaves ") for text in log)
    assert any(text.startswith("Solved ") and "by 4 passes" in text for text in log)


def test_settings_of_passes_are_kept_in_the_ini(ways: Ways, tmp_path: Path) -> None:
    from ptychonyx.runtime.reconstruction.settings import load_recipe

    recipe = load_recipe(ways.path.with_suffix(".ini"))
    assert (recipe.solving.passes, recipe.solving.refine_probe) == (4, True)
    assert recipe.solving.num_modes is None


def test_stop_keeps_the_passes_that_were_made(
    environment: Environment, solver_folder: Path
) -> None:
    result = environment.drive("cancel", "ptychonyx_solver", solver_folder, *OPTIONS)
    assert result["stopped_at"] == [0, 25]
    assert len(result["losses"]) == 1
    assert result["is_changed"]
    assert result["progress"] == 100
    lines = [text for _, name, text in result["log"] if "ptychonyx" in name and "stopped" in text]
    assert lines == ["Reconstruction stopped at 25 %."]
    assert complaints(result) == []


def test_positions_that_moved_stand_in_the_product(
    environment: Environment, solver_folder: Path, tmp_path: Path
) -> None:
    environment.drive("move", solver_folder, tmp_path / "moved.h5")
    given, moved = load_product(solver_folder / "product.h5"), load_product(tmp_path / "moved.h5")
    moves_px = moved.corners_px - given.corners_px
    np.testing.assert_allclose(moves_px[0], 0, atol=1e-6)
    np.testing.assert_allclose(
        moves_px[1:], np.tile([0.25, -1.5], (len(moves_px) - 1, 1)), atol=1e-6
    )
    np.testing.assert_array_equal(moved.position_indexes, given.position_indexes)


FAULTS = {
    "a word for a number": (("Ptychonyx=Passes=some",), "`passes` is 'some'; give a number"),
    "too many modes": (("Ptychonyx=ProbeModes=9",), "`num_modes` is 9; give 1 to 8"),
    "no such network": (("Ptychonyx=SolverNetwork=nowhere.onnx",), "nowhere.onnx"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(
    fault: str, environment: Environment, solver_folder: Path, tmp_path: Path
) -> None:
    options, message = FAULTS[fault]
    result = environment.drive("solve", solver_folder, tmp_path / "a.h5", *options)
    assert result["still"] == ["ptychonyx_onnx", "ptychonyx_solver"]
    (line,) = complaints(result)
    assert "\n" not in line
    assert message in line
    assert result["failure"] in line


def test_the_network_that_the_settings_name_is_opened(
    environment: Environment, solver_folder: Path, solver_path: SolverPath, tmp_path: Path
) -> None:
    """One that was trained to see something else is refused, which shows that it was opened."""
    network = f"Ptychonyx=SolverNetwork={solver_path()}"
    result = environment.drive("solve", solver_folder, tmp_path / "a.h5", network)
    (line,) = complaints(result)
    assert "was trained on 3 features of version 1" in line
