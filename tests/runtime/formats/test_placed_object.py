"""Objects and probes have one shape, whatever shape a file stores them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import load_object, load_probe
from ptychonyx.runtime.errors import ScanError


@pytest.mark.parametrize(
    ("shape", "modes"), [((8, 8), 1), ((3, 8, 8), 3), ((8, 8, 1), 1), ((5, 2, 8, 8), 2)]
)
def test_probes_come_modes_first(shape: tuple[int, ...], modes: int, tmp_path: Path) -> None:
    probe = np.random.default_rng(0).normal(size=shape)
    np.savez(tmp_path / "scan.npz", probeGuess=probe)
    np.save(tmp_path / "probe.npy", probe)
    for name in ("scan.npz", "probe.npy"):
        read = load_probe(tmp_path / name)
        assert read.shape == (modes, 8, 8)
        assert read.dtype == np.complex64
        np.testing.assert_allclose(read.ravel(), probe.ravel()[: read.size], rtol=1e-6)


def test_layers_of_a_thick_object_are_multiplied(tmp_path: Path) -> None:
    layers = np.exp(1j * np.random.default_rng(0).random((3, 9, 12)))
    np.save(tmp_path / "object.npy", layers)
    np.testing.assert_allclose(
        load_object(tmp_path / "object.npy").object_, layers.prod(axis=0), rtol=1e-5
    )


def test_what_single_precision_cannot_hold_is_infinite_and_no_probe(tmp_path: Path) -> None:
    """It was a warning of NumPy."""
    values = np.full((2, 8, 8), 1e300)
    values[1, 0, 0], values[1, 0, 1] = 0, np.nan
    np.save(tmp_path / "values.npy", values)
    object_ = load_object(tmp_path / "values.npy").object_
    np.testing.assert_array_equal(np.isfinite(object_), np.zeros((8, 8), bool))
    with pytest.raises(ScanError, match=r"values\.npy holds values that are not finite in single"):
        load_probe(tmp_path / "values.npy")
