"""Whatever format an experiment comes in: the same scan, the same table, the same product."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from beamline_files import Experiment, experiment_of, star_experiment
from nine_ways import WAYS, in_one_place, write_all
from typer.testing import CliRunner

from ptychonyx.cli import app
from ptychonyx.runtime import load_product, load_scan
from ptychonyx.runtime.scan import Scan

Words = dict[str, tuple[object, ...]]
OF_THE_FORMAT = ("position origin", "missing")
"""Rows of `inspect` that say what a format is able to say."""


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in words])
    assert result.exit_code == 0, (words, result.output, result.exception)
    return result.stdout


def read(words: tuple[object, ...]) -> Scan:
    """Read what the words of a command name."""
    path, *options = map(str, words)
    given = dict(zip(options[::2], options[1::2], strict=True))
    return load_scan(path, map_path=given.get("--map"), quantity=given.get("--quantity"))


def some(made: Experiment, num: int) -> Experiment:
    """Return the experiment of the first patterns alone."""
    kept = (made.patterns[:num], made.corners_px[:num], made.positions_m[:num])
    return Experiment(*kept, made.probe, made.object_, made.pixel_m)


@pytest.fixture
def simulated(small_scan: Scan) -> Experiment:
    return in_one_place(experiment_of(small_scan))


def check_scans(words: Words, made: Experiment) -> None:
    for name, of in words.items():
        scan = read(of)
        assert scan.quantity == "counts", name
        patterns = np.asarray(scan.patterns[0 : scan.num_patterns])
        assert patterns.dtype == made.patterns.dtype, name
        np.testing.assert_array_equal(patterns, made.patterns, err_msg=name)
        np.testing.assert_allclose(scan.corners_px, made.corners_px, atol=1e-9, err_msg=name)
        assert scan.bad_pixels is None or not scan.bad_pixels.any(), name
        if "probe" not in WAYS[name].unsaid:
            np.testing.assert_array_equal(scan.probe, made.probe, err_msg=name)


def check_tables(words: Words) -> None:
    tables = {name: json.loads(run("inspect", *of, "--json")) for name, of in words.items()}
    for name, table in tables.items():
        missing = set(table["rows"]["missing"].split(", ")) - {"bad pixels", "nothing"}
        assert missing == WAYS[name].unsaid, name
        assert table["findings"] == [], name
        other = tables["cxi"]["rows"]
        rows = (set(table["rows"]) & set(other)) - set(OF_THE_FORMAT)
        assert rows >= {"patterns", "dose", "input scale", "positions", "overlap"}, name
        for row in rows:
            assert table["rows"][row] == other[row], (name, row)


def check_products(words: Words, folder: Path) -> None:
    probe, objects = words["ptychopinn"][0], {}
    for name, of in words.items():
        made = folder / f"{name}.h5"
        run("reconstruct", *of, "--probe", probe, "--passes", 2, "--solver", "none", "-o", made)
        objects[name] = load_product(made)
    first = objects["cxi"]
    for name, product in objects.items():
        assert np.shape(product.object_) == np.shape(first.object_), name
        np.testing.assert_array_equal(product.coverage, first.coverage, err_msg=name)
        np.testing.assert_allclose(product.object_, first.object_, rtol=0, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(product.probe, first.probe, err_msg=name)


def test_a_scan_in_nine_formats(simulated: Experiment, tmp_path: Path) -> None:
    words = write_all(tmp_path, simulated)
    check_scans(words, simulated)
    check_tables(words)
    check_products(words, tmp_path)


def test_some_of_the_star_in_nine_formats(star: Path, tmp_path: Path) -> None:
    made = in_one_place(some(star_experiment(star), 40))
    words = write_all(tmp_path, made)
    check_scans(words, made)
    check_tables(words)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_star_in_nine_formats(star: Path, tmp_path: Path) -> None:
    made = in_one_place(star_experiment(star))
    assert len(made.patterns) == 516
    words = write_all(tmp_path, made)
    check_scans(words, made)
    check_tables(words)
    check_products(words, tmp_path)
