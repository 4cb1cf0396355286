"""`ptychonyx convert`: scans to scans, products to products, objects to pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from beamline_files import assert_is, experiment_of, write_eiger, write_ptyr
from typer.testing import CliRunner

from ptychonyx.cli.commands import app
from ptychonyx.runtime import load_product, load_scan
from ptychonyx.runtime.scan import Scan


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_detectors_file_becomes_a_scan(small_scan: Scan, tmp_path: Path) -> None:
    made = experiment_of(small_scan)
    master = write_eiger(tmp_path, made)
    run("convert", master, "--map", tmp_path / "map.yaml", "-o", tmp_path / "scan.cxi")
    assert_is(load_scan(tmp_path / "scan.cxi"), made)
    run("convert", tmp_path / "scan.cxi", "--crop", 24, "--bin", 2, "-o", tmp_path / "small.npz")
    assert load_scan(tmp_path / "small.npz", quantity="counts").window_px == 12


def test_a_result_becomes_a_product_and_pictures(small_scan: Scan, tmp_path: Path) -> None:
    pytest.importorskip("tifffile")
    made = experiment_of(small_scan)
    write_ptyr(tmp_path / "run.ptyr", made)
    for name in ("product.h5", "product.cxi"):
        run("convert", tmp_path / "run.ptyr", "-o", tmp_path / name)
        product = load_product(tmp_path / name)
        np.testing.assert_allclose(product.corners_px, made.corners_px, atol=1e-9)
        np.testing.assert_array_equal(product.object_, made.object_)
    run("convert", tmp_path / "product.cxi", "-o", tmp_path / "star.tif")
    assert (tmp_path / "star_amplitude.tif").is_file()
    assert (tmp_path / "star_phase.tif").is_file()


def test_the_template_of_a_map_is_printed(small_scan: Scan, tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", dp=small_scan.patterns[:], y=np.zeros(40), x=np.zeros(40))
    output = run("inspect", tmp_path / "scan.npz", "--map-template")
    assert "  path: dp  # (40, 32, 32) uint" in output
    assert "  y: " in output
