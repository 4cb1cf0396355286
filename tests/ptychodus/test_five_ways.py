"""A real Ptychodus, a real model, an off-center scan: five ways in, one object out."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime.formats import load_object, load_product
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan

from .conftest import Environment, make_environment

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]

MAX_DIFFERENCE = 1e-5
MIN_CORRELATION = 0.95
MIN_SHAPE_CORRELATION = 0.7
"""Of what differs from the mean; the small model reaches 0.81."""
SHIFT_MARGIN = 0.01
"""By which one pixel in any direction must fit worse; it is 0.024 or more."""
ONE_PIXEL = ((0, -1), (0, 1), (1, -1), (1, 1))
NUM_OVERLAPS = 8
"""A pixel counts as covered if that many patches saw it."""


@pytest.fixture(scope="module")
def five(
    environment: Environment, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Product]:
    work = tmp_path_factory.mktemp("five")
    infer = environment.drive("infer", folder, work / "api.h5")
    spawned = environment.drive(
        "infer", folder, work / "spawned.h5", "Ptychonyx=UseSeparateProcess=True"
    )
    for result in (infer, spawned):
        assert result["failure"] is None
        assert result["modules"] == []
        assert 3 <= len(result["checkpoints"]) <= 10
        assert result["checkpoints"][-1] == "product.000100.h5"
    environment.call(
        "python", "-m", "ptychodus", "-b", "reconstruct", "-i", folder, "-o", work / "batch"
    )
    shutil.copytree(folder, work / "watched" / "scan1" / "input")
    environment.drive("workflow", work / "watched", "Ptychonyx")
    environment.call("ptychonyx", "reconstruct-folder", "-i", folder, "-o", work / "folder")
    paths = {
        "api": work / "api.h5",
        "api npz": work / "api.npz",
        "batch": work / "batch" / "product.000100.h5",
        "workflow": work / "watched" / "scan1" / "output" / "product.h5",
        "spawned": work / "spawned.h5",
        "folder": work / "folder" / "product.h5",
    }
    return {name: load_product(path) for name, path in paths.items()}


def test_ptychodus_lists_everything_and_loads_nothing_heavy(environment: Environment) -> None:
    found = environment.drive("list")
    assert found["reconstructors"] == ["ptychonyx_onnx", "ptychonyx_solver"]
    assert {"Ptychonyx Inference", "Ptychonyx Solver"} <= set(found["workflows"])
    assert set(found["settings"]) == {"Ptychonyx", "PtychonyxTraining"}
    keys = {"Provider", "BatchSize", "PatchWeights", "AlignPatchPhase", "SubpixelMethod"}
    keys |= {"InputScale", "ResidualPatterns", "SolverNetwork"}
    keys |= {"Passes", "BudgetInSeconds", "Noise", "RefineProbe", "ProbeModes", "ProbeScale"}
    assert keys <= set(found["settings"]["Ptychonyx"])
    assert found["modules"] == ["ptychonyx_ptychodus"]


def test_all_ways_give_one_object_on_the_canvas_of_the_input(
    five: dict[str, Product], folder: Path
) -> None:
    given = load_product(folder / "product.h5")
    for name, product in five.items():
        assert product.object_.shape == given.object_.shape, name
        assert product.frame == given.frame, name
        np.testing.assert_allclose(product.corners_px, given.corners_px, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(product.position_indexes, given.position_indexes)
        difference = np.abs(product.object_ - five["folder"].object_).max()
        assert difference <= MAX_DIFFERENCE, (name, difference)


def test_the_object_is_the_truth_and_lies_where_it_should(
    five: dict[str, Product], truth: Scan
) -> None:
    product, true = five["api"].object_, truth.object_
    assert true is not None
    coverage = five["folder"].coverage
    assert coverage is not None
    covered = coverage >= NUM_OVERLAPS
    score = check(product, true, covered)
    print("correlation", score)
    wrong = {
        "flipped up": product[::-1],
        "flipped left": product[:, ::-1],
        "turned": product[::-1, ::-1],
        "transposed": transposed(product),
        "shifted down": np.roll(product, 1, axis=0),
        "shifted up": np.roll(product, -1, axis=0),
        "shifted right": np.roll(product, 1, axis=1),
        "shifted left": np.roll(product, -1, axis=1),
        "flat": np.full_like(product, product[covered].mean()),
    }
    for name, array in wrong.items():
        with pytest.raises(AssertionError):
            check(array, true, covered)
        print(name, "is refused")


def check(array: np.ndarray, true: np.ndarray, covered: np.ndarray) -> float:
    """Fail unless an object is the truth, and no pixel away from it.

    Almost any object correlates with vacuum, so the shape of what differs from the mean must fit,
    too, and fit best where it lies.
    """
    score = correlation(array[covered], true[covered])
    assert score >= MIN_CORRELATION
    shape, true_shape = array - array[covered].mean(), true - true[covered].mean()
    inside = covered.copy()
    for axis, step in ONE_PIXEL:
        inside &= np.roll(covered, step, axis)
    here = correlation(shape[inside], true_shape[inside])
    assert here >= MIN_SHAPE_CORRELATION
    for axis, step in ONE_PIXEL:
        moved = np.roll(shape, step, axis)
        assert here > correlation(moved[inside], true_shape[inside]) + SHIFT_MARGIN
    return score


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of complex values, whatever their common phase; 0 of nothing."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(abs(np.vdot(a, b))) / norms if norms else 0.0


def transposed(array: np.ndarray) -> np.ndarray:
    """Swap x and y as a wrong axis order would, on the same canvas."""
    height, width = array.shape
    side = max(height, width)
    square = np.zeros((side, side), array.dtype)
    square[:height, :width] = array
    return square.T[:height, :width]


def test_the_product_says_in_ptychodus_what_the_folder_command_says(
    five: dict[str, Product],
) -> None:
    for name, product in five.items():
        np.testing.assert_allclose(product.probe, five["folder"].probe, rtol=1e-5, err_msg=name)
        assert product.photon_energy_eV == pytest.approx(five["folder"].photon_energy_eV)
        assert product.name.startswith(five["folder"].name)


def test_layers_and_probes_that_vary_are_kept(
    environment: Environment, folder: Path, tmp_path: Path
) -> None:
    """Two layers, two probes along the scan, in another unit than counts."""
    shutil.copytree(folder, tmp_path / "input")
    with h5py.File(tmp_path / "input" / "product.h5", "r+") as file:
        for name in ("object", "probe"):
            attributes, array = dict(file[name].attrs), file[name][()]
            del file[name]
            file[name] = np.concatenate([array, array]) * (100 if name == "probe" else 1)
            file[name].attrs.update(attributes)
        num, counted = len(file["probe_position_indexes"]), file["probe"][0] / 100
        file["opr_weights"] = np.tile([1.0, 0.5], (num, 1))
        del file["object_layer_spacing_m"]
        file["object_layer_spacing_m"] = np.array([1e-6])
    assert environment.drive("infer", tmp_path / "input", tmp_path / "a.h5")["failure"] is None
    environment.call("ptychonyx", "reconstruct-folder", "-i", folder, "-o", tmp_path / "output")
    plain = load_product(tmp_path / "output" / "product.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.abs(file["object"][0] - plain.object_).max() <= MAX_DIFFERENCE
        np.testing.assert_array_equal(file["object"][1], 1)
        np.testing.assert_array_equal(file["object_layer_spacing_m"], [1e-6])
        assert file["probe"].shape == (2, *counted.shape)
        power = np.sum(np.abs(counted) ** 2)
        for each in file["probe"]:
            assert np.sum(np.abs(each) ** 2) == pytest.approx(power, rel=0.5)
        np.testing.assert_allclose(file["opr_weights"], np.tile([1.0, 0.5], (num, 1)))
        assert file.attrs["probe_photon_count"] == pytest.approx(
            np.sum(np.abs(file["probe"][0]) ** 2), rel=1e-5
        )


def test_release_1_5_1_infers_the_same(wheels: list[Path], folder: Path, tmp_path: Path) -> None:
    old = make_environment("1.5.1", tmp_path, "onnxruntime", "typer", "rich", "pyyaml")
    old.pip("install", "--no-deps", "--force-reinstall", *wheels)
    assert old.drive("infer", folder, tmp_path / "a.h5")["failure"] is None
    old.call("ptychonyx", "reconstruct-folder", "-i", folder, "-o", tmp_path / "output")
    same = load_object(tmp_path / "output" / "product.h5").object_
    assert np.abs(load_object(tmp_path / "a.h5").object_ - same).max() <= MAX_DIFFERENCE


def test_settings_are_kept_in_the_ini(
    environment: Environment, folder: Path, tmp_path: Path
) -> None:
    words = ("Ptychonyx=PatchWeights=hann", "Ptychonyx=BatchSize=17")
    environment.drive("infer", folder, tmp_path / "a.h5", *words)
    text = (tmp_path / "a.ini").read_text()
    assert "[Ptychonyx]" in text
    shutil.copytree(folder, tmp_path / "input")
    shutil.copy(tmp_path / "a.ini", tmp_path / "input" / "settings.ini")
    environment.call(
        "ptychonyx", "reconstruct-folder", "-i", tmp_path / "input", "-o", tmp_path / "output"
    )
    product = load_product(tmp_path / "output" / "product.h5")
    assert product.metadata["patch_weights"] == "hann"
    assert product.metadata["batch_size"] == 17
    same = load_object(tmp_path / "a.h5").object_
    assert np.abs(product.object_ - same).max() <= MAX_DIFFERENCE
