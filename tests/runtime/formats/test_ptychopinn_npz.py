"""PtychoPINN's NPZ: it comes back as it was written, and what is wrong in one is named."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import NPZ_ARRAYS, NUM, SIDE, Arrays, write_npz
from numpy.typing import NDArray

from ptychonyx.runtime import load_object, load_probe, load_scan
from ptychonyx.runtime.errors import AxisError, QuantityError, ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.formats.storage.npz import Npz
from ptychonyx.runtime.scaling import counts_per_pattern, probe_in_counts, read_amplitudes
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.stitching.patches import cut_patches

OBJECTS = np.array([{"a": 1}] * NUM, dtype=object)


def test_round_trip(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz", quantity="counts")
    np.testing.assert_array_equal(read.patterns[3:7], small_scan.patterns[3:7])
    np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-9)
    np.testing.assert_array_equal(read.probe, small_scan.probe)
    np.testing.assert_array_equal(read.object_, small_scan.object_)
    assert read.photon_energy_eV == small_scan.photon_energy_eV
    assert [path.name for path in tmp_path.iterdir()] == ["scan.npz"]


@pytest.mark.parametrize("side", [31, 32])
@pytest.mark.parametrize("has_bad_pixels", [False, True])
def test_round_trip_of_odd_windows_and_bad_pixels(
    has_bad_pixels: bool, side: int, tmp_path: Path
) -> None:
    bad_pixels = np.eye(side, dtype=np.bool_) if has_bad_pixels else None
    corners_px = np.array([[0.25, 3.0], [-1.5, 9.0], [4.0, 4.0]])
    patterns = np.random.default_rng(0).random((3, side, side), dtype=np.float32)
    scan = Scan(patterns, "amplitude", corners_px, bad_pixels=bad_pixels, pixel_size_m=2e-8)
    save_scan(scan, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz")
    np.testing.assert_allclose(read.corners_px, corners_px, atol=1e-12)
    np.testing.assert_array_equal(read.patterns[0:3], patterns)
    assert (read.quantity, read.pixel_size_m, read.probe) == ("amplitude", 2e-8, None)
    assert (read.bad_pixels is not None) == has_bad_pixels
    if bad_pixels is not None:
        np.testing.assert_array_equal(read.bad_pixels, bad_pixels)


def test_a_scan_is_written_relative_to_an_object_that_is_off_the_corner(
    small_scan: Scan, tmp_path: Path
) -> None:
    moved = dataclasses.replace(
        small_scan,
        object_corner_px=(7.5, -3.0),
        corners_px=small_scan.corners_px + np.array([7.5, -3]),
    )
    save_scan(moved, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz", quantity="counts")
    assert read.object_corner_px == (0, 0)
    np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-9)


def test_last_axis_patterns_are_turned(tmp_path: Path) -> None:
    patterns = np.random.default_rng(0).uniform(0.1, 0.9, (5, 32, 32))
    np.savez(
        tmp_path / "scan.npz",
        diffraction=patterns.transpose(1, 2, 0),
        xcoords=np.arange(5.0),
        ycoords=np.arange(5.0),
    )
    read = load_scan(tmp_path / "scan.npz")
    assert read.quantity == "amplitude"
    np.testing.assert_array_equal(read.patterns[0:5], patterns)


@pytest.mark.parametrize("shape", [(5, 8, 8), (8, 8, 5), (5, 8, 8, 1), (8, 8, 8, 1)])
def test_axis_order_follows_the_number_of_positions(shape: tuple[int, ...], tmp_path: Path) -> None:
    patterns = np.random.default_rng(0).uniform(0.1, 0.9, shape)
    num = 8 if shape == (8, 8, 8, 1) else 5
    np.savez(tmp_path / "scan.npz", diff3d=patterns, xcoords=np.arange(num), ycoords=np.arange(num))
    expected = patterns.transpose(2, 0, 1) if shape == (8, 8, 5) else patterns.reshape(num, 8, 8)
    read = load_scan(tmp_path / "scan.npz").patterns
    assert read.shape == expected.shape
    np.testing.assert_array_equal(read[1:4], expected[1:4])


def test_nominal_positions_serve_where_measured_ones_are_missing(tmp_path: Path) -> None:
    patterns = np.full((2, 8, 8), 0.5)
    nominal: Arrays = {"ycoords_start": [4, 5], "xcoords_start": [6, 7]}
    np.savez(tmp_path / "nominal.npz", diffraction=patterns, **nominal)
    np.testing.assert_allclose(load_scan(tmp_path / "nominal.npz").corners_px, [[0, 2], [1, 3]])
    measured: Arrays = {"ycoords": [4.5, 5], "xcoords": [6, 7]}
    np.savez(tmp_path / "both.npz", diffraction=patterns, **nominal, **measured)
    np.testing.assert_allclose(
        load_scan(tmp_path / "both.npz").corners_px, [[0.5, 2.0], [1.0, 3.0]]
    )


def test_patterns_are_not_read_before_they_are_sliced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "scan.npz", diff3d=np.ones((3, 8, 8)), xcoords=[1, 2, 3], ycoords=[1, 2, 3])
    read = []
    original = Npz.read

    def recorded(self: Npz, name: str) -> NDArray[Any]:
        read.append(name)
        return original(self, name)

    monkeypatch.setattr(Npz, "read", recorded)
    scan = load_scan(tmp_path / "scan.npz", quantity="counts")
    assert "diff3d" not in read
    for start in range(3):
        assert scan.patterns[start : start + 1].shape == (1, 8, 8)
    assert read.count("diff3d") == 1


def test_real_scan(star: Path) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    assert (scan.num_patterns, scan.window_px) == (516, 64)
    assert load_probe(star / "siemens64_reference_3modes.npz").shape == (3, 64, 64)
    assert scan.corners_px.min() >= 0


def test_real_scan_explains_its_patterns(star: Path) -> None:
    """With the right corners the reference reproduces the amplitudes; half a pixel off, less so."""
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    with pytest.raises(QuantityError, match="`quantity` must say which"):
        load_scan(star / "siemens64.npz")
    assert counts_per_pattern(scan) == pytest.approx(4.42e5, rel=0.01)
    reference = load_object(star / "siemens64_reference_3modes.npz").object_
    probe = load_probe(star / "siemens64_reference_3modes.npz")
    assert probe_in_counts(probe, counts_per_pattern(scan))[1] == pytest.approx(1, abs=0.1)

    def residual(shift_px: float) -> float:
        corners_px = scan.corners_px[:100:5] + shift_px
        patches = cut_patches(reference.astype(np.complex128), corners_px, 64)
        far = np.fft.fftshift(np.fft.fft2(patches[:, None] * probe, norm="ortho"), axes=(-2, -1))
        amplitude = np.sqrt(np.sum(np.abs(far) ** 2, axis=1))
        measured = np.concatenate([read_amplitudes(scan, i, i + 1) for i in range(0, 100, 5)])
        return float(np.sum((amplitude - measured) ** 2) / np.sum(measured**2))

    assert residual(0.0) < 0.008
    assert residual(0.0) < min(residual(0.5), residual(-0.5))


WHOLE = np.random.default_rng(0).poisson(9, (NUM, SIDE, SIDE))


UNCLEAR: dict[str, Arrays] = {
    "unsigned": {"diff3d": WHOLE.astype(np.uint16)},
    "floats": {"diff3d": WHOLE.astype(np.float32)},
    "one and nothing": {"diff3d": (WHOLE > 9).astype(np.float64)},
    "all alike": {"diff3d": np.full((NUM, SIDE, SIDE), 7.0)},
    "last axis": {"diff3d": WHOLE.transpose(1, 2, 0)},
    "fractions in bad pixels alone": {
        "diff3d": WHOLE + 0.5 * np.eye(SIDE),
        "bad_pixels": np.eye(SIDE, dtype=bool),
    },
    "light between the sampled patterns": {
        "diff3d": np.arange(64)[:, None, None] % 2 * np.full((64, SIDE, SIDE), 5),
        "xcoords": np.arange(64.0),
        "ycoords": np.arange(64.0),
    },
}


@pytest.mark.parametrize("changes", UNCLEAR.values(), ids=UNCLEAR)
def test_whole_numbers_need_a_word(changes: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "scan.npz"
    write_npz(path, changes)
    with pytest.raises(QuantityError, match="`quantity` must say which") as caught:
        load_scan(path)
    assert caught.value.path == path
    assert caught.value.CHOICES == ("counts", "amplitude")
    for quantity in caught.value.CHOICES:
        assert load_scan(path, quantity=quantity).quantity == quantity


BAD_NPZ: dict[str, tuple[Arrays, str]] = {
    "no patterns": ({"diff3d": None}, "holds no diffraction patterns; expected one of: diff3d"),
    "no positions": ({"ycoords": None}, "has no `ycoords`"),
    "x and y differ": ({"xcoords": np.arange(3.0)}, "4 `ycoords` but 3 `xcoords`"),
    "too few positions": (
        {"xcoords": np.arange(3.0), "ycoords": np.arange(3.0)},
        "holds 4 patterns, but there are 3 positions",
    ),
    "position not finite": ({"xcoords": np.array([0, 1, np.nan, 3])}, "Position 2 is not finite"),
    "not square": ({"diff3d": np.full((NUM, SIDE, 8), 0.5)}, "16×8; square windows are needed"),
    "two axes": ({"diff3d": np.full((NUM, SIDE), 0.5)}, "expected \\(n, N, N\\)"),
    "empty": (
        {"diff3d": np.zeros((0, SIDE, SIDE)), "xcoords": np.zeros(0), "ycoords": np.zeros(0)},
        "The scan is empty",
    ),
    "all zero": (
        {"diff3d": np.zeros((NUM, SIDE, SIDE))},
        "all sampled diffraction patterns are zero",
    ),
    "complex patterns": (
        {"diff3d": np.ones((NUM, SIDE, SIDE), complex)},
        "real numbers are needed",
    ),
    "objects": ({"diff3d": np.array([None] * NUM)}, "real numbers are needed"),
    "probe size": ({"probeGuess": np.ones((8, 8), complex)}, "but the patterns are 16×16"),
    "mask size": ({"bad_pixels": np.zeros((3, 3), bool)}, "`bad_pixels` has shape"),
    "object of four axes": ({"objectGuess": np.ones((2, 2, 2, 2))}, "expected \\(H, W\\)"),
    "patterns that need unpickling": ({"diff3d": OBJECTS}, "only unpickling could read"),
    "positions that need unpickling": ({"xcoords": OBJECTS}, "`xcoords` of .* has dtype object"),
    "probe that needs unpickling": ({"probeGuess": OBJECTS}, "only unpickling could read"),
    "positions as text": ({"ycoords": np.array(["1"] * NUM)}, "`ycoords` of .* has dtype <U1"),
    "complex positions": ({"xcoords": np.ones(NUM, complex)}, "real numbers are needed"),
    "infinite position": ({"ycoords": np.array([0, 1, 2, np.inf])}, "Position 3 is not finite"),
    "positions in metres": (
        {"xcoords": np.arange(NUM) * 1e-7, "ycoords": np.arange(NUM) * 1e-7},
        "at most 3e-07, which must be metres; pixels are needed",
    ),
    "one position": ({"xcoords": np.array(3.0)}, r"shape \(\), expected \(n,\)"),
    "a table of positions": ({"xcoords": np.ones((2, 2))}, r"shape \(2, 2\), expected \(n,\)"),
    "energy as text": ({"photon_energy_eV": np.array("8.8 keV")}, "one number is needed"),
    "modes last": ({"probeGuess": np.ones((99, SIDE, SIDE))}, "99 modes; at most 64"),
    "only one coordinate": ({"xcoords": None, "xcoords_start": np.ones(NUM)}, "has no `xcoords`"),
    "last axis of another length": (
        {"diff3d": np.full((SIDE, SIDE, NUM + 1), 0.5)},
        r"holds 16 patterns, but there are 4 positions; its shape \(16, 16, 5\)",
    ),
    "wide last-axis patterns": ({"diff3d": np.full((SIDE, 8, NUM), 0.5)}, "square windows"),
    "text patterns": ({"diff3d": np.full((NUM, SIDE, SIDE), "a")}, "real numbers are needed"),
    "windows of no pixels": ({"diff3d": np.zeros((NUM, 0, 0))}, "The scan is empty"),
    "no finite value": ({"diff3d": np.full((NUM, SIDE, SIDE), np.nan)}, "zero or not finite"),
    "light in bad pixels alone": (
        {
            "diff3d": np.eye(SIDE)[None].repeat(NUM, 0) * 0.5,
            "bad_pixels": np.eye(SIDE, dtype=bool),
        },
        "zero or not finite in good pixels",
    ),
    "probe with NaN": ({"probeGuess": np.full((SIDE, SIDE), np.nan)}, "values that are not finite"),
    "oblong probe": ({"probeGuess": np.ones((SIDE, 8))}, r"`probeGuess` .* expected \(N, N\)"),
    "probe of another size": (
        {"probeGuess": np.ones((2, 8, 8))},
        r"`probeGuess` has shape \(2, 8, 8\)",
    ),
    "probe as a list": ({"probeGuess": np.ones(SIDE)}, r"has shape \(16,\), expected \(N, N\)"),
    "object of no pixels": ({"objectGuess": np.ones((0, 5))}, r"`objectGuess` .* \(0, 5\)"),
    "two pixel sizes": ({"pixel_size_m": np.ones(2)}, r"`pixel_size_m` .*; one number is needed"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_files_are_refused_when_they_are_opened(
    changes: Arrays, message: str, tmp_path: Path
) -> None:
    write_npz(tmp_path / "scan.npz", changes)
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "scan.npz")


def with_pixel(value: float) -> NDArray[np.float64]:
    patterns: NDArray[np.float64] = NPZ_ARRAYS["diff3d"].copy()
    patterns[2, 5, 5] = value
    return patterns


BAD_VALUES: dict[str, tuple[Arrays, str]] = {
    "NaN": ({"diff3d": with_pixel(np.nan)}, "Pattern 2 holds a value that is not a finite number"),
    "infinite": ({"diff3d": with_pixel(np.inf)}, "Pattern 2 holds a value that is not a finite"),
    "negative": ({"diff3d": with_pixel(-1)}, "Pattern 2 holds a negative value"),
    "probe zero": (
        {"probeGuess": np.zeros((SIDE, SIDE), complex)},
        "a finite probe that is not zero",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_values_are_refused_when_they_are_used(
    changes: Arrays, message: str, tmp_path: Path
) -> None:
    write_npz(tmp_path / "scan.npz", changes)
    scan = load_scan(tmp_path / "scan.npz")
    assert scan.probe is not None
    with pytest.raises(ScanError, match=message):
        probe_in_counts(scan.probe, counts_per_pattern(scan))


def test_bad_pixels_are_zero_before_anything_else(tmp_path: Path) -> None:
    bad_pixels = np.zeros((SIDE, SIDE), bool)
    bad_pixels[5, 5] = True
    damaged, clean = with_pixel(np.nan), with_pixel(0.0)
    damaged[:, 5, 5], clean[:, 5, 5] = np.nan, 0
    write_npz(tmp_path / "damaged.npz", {"diff3d": damaged, "bad_pixels": bad_pixels})
    write_npz(tmp_path / "clean.npz", {"diff3d": clean})
    counts = [
        counts_per_pattern(load_scan(tmp_path / f"{name}.npz", quantity="counts"))
        for name in ("damaged", "clean")
    ]
    assert counts[0] == pytest.approx(counts[1])


def test_a_scan_without_object_and_probe_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", xcoords=np.arange(3))
    for read, what in ((load_object, "no object"), (load_probe, "no probe")):
        with pytest.raises(ScanError, match=what):
            read(tmp_path / "bare.npz")


def test_as_many_patterns_as_pixels_need_a_word(tmp_path: Path) -> None:
    patterns = np.random.default_rng(0).uniform(0.1, 0.9, (8, 8, 8))
    path = tmp_path / "scan.npz"
    np.savez(path, diff3d=patterns, xcoords=np.arange(8.0), ycoords=np.arange(8.0))
    with pytest.raises(AxisError, match=r"shape \(8, 8, 8\), .* `pattern_axis` must say") as caught:
        load_scan(path)
    assert caught.value.CHOICES == ("first", "last")
    first, last = (load_scan(path, pattern_axis=word).patterns for word in caught.value.CHOICES)
    np.testing.assert_array_equal(first[2:5], patterns[2:5])
    np.testing.assert_array_equal(last[2:5], patterns[..., 2:5].transpose(2, 0, 1))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.shape) == (str(caught.value), (8, 8, 8))


def test_a_wrong_axis_is_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "scan.npz", {})
    with pytest.raises(ScanError, match="holds 16 patterns, but there are 4 positions"):
        load_scan(tmp_path / "scan.npz", pattern_axis="last")
    with pytest.raises(ScanError, match=r'`pattern_axis` is .middle., expected one of: "first"'):
        load_scan(tmp_path / "scan.npz", pattern_axis="middle")
