"""What users reported of their data ends as said: named, with evidence and cure, and refused if wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray
from typer.testing import CliRunner

from ptychonyx.cli import app
from ptychonyx.runtime import save_scan
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.turns import Turn

Spoil = Callable[[Scan], Scan]


@dataclass(frozen=True)
class Case:
    """A scan that something is wrong with.

    Attributes
    ----------
    spoil : callable
    found : tuple of str
        Names of what is found.
    words : str
        Part of what is said of the first.
    """

    spoil: Spoil
    found: tuple[str, ...]
    words: str
    is_wrong: bool = False


def patterns(key: Any, value: float, dtype: DTypeLike = np.uint32, *, times: bool = False) -> Spoil:
    """Return what sets some values of the patterns, or multiplies them."""

    def spoil(scan: Scan) -> Scan:
        changed = np.array(scan.patterns).astype(dtype)
        changed[key] = changed[key] * value if times else value
        return replace(scan, patterns=changed)

    return spoil


def corners(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Spoil:
    return lambda scan: replace(scan, corners_px=change(scan.corners_px.copy()))


def far(index: int) -> Spoil:
    def change(corners_px: NDArray[np.float64]) -> NDArray[np.float64]:
        corners_px[index] = 2e4
        return corners_px

    return corners(change)


def turned(**how: Any) -> Spoil:
    return Turn(**how).apply


def brighter(factor: float) -> Spoil:
    def spoil(scan: Scan) -> Scan:
        assert scan.probe is not None
        return replace(scan, probe=(factor * scan.probe).astype(np.complex64))

    return spoil


ALL = slice(None)
CASES = {
    "gap rows at the largest value": Case(
        patterns(np.s_[:, 20:24], 65535, np.uint16), ("gap-pixels",), "128 pixels have 65535"
    ),
    "gap columns of -1": Case(
        patterns(np.s_[:, :, 9], -1, np.int32), ("gap-pixels",), "32 pixels have -1"
    ),
    "a gap that is no number": Case(
        patterns(np.s_[:, 20:24], np.nan, np.float32), ("gap-pixels",), "128 pixels have nan"
    ),
    "gap rows of 0": Case(
        patterns(np.s_[:, 14:16], 0), ("dead-pixels",), "64 pixels have no count in any pattern"
    ),
    "an absurd count": Case(
        patterns(np.s_[5, 16, 16], 3e38, np.float32),
        ("impossible-counts",),
        "3e+38 in pattern 5 at pixel (16, 16)",
        is_wrong=True,
    ),
    "negative counts": Case(
        patterns(np.s_[11, 3, 4], -7, np.float64),
        ("impossible-counts",),
        "-7 in pattern 11 at pixel (3, 4)",
        is_wrong=True,
    ),
    "reversed along x": Case(turned(flip="x"), ("orientation",), "`--flip x`"),
    "transposed": Case(turned(flip="t"), ("orientation",), "`--flip t`"),
    "positions negated": Case(
        turned(negate_positions="yx"), ("orientation",), "`--negate-positions yx`"
    ),
    "positions exchanged": Case(turned(swap_positions=True), ("orientation",), "--swap-positions"),
    "DC in the corner": Case(
        lambda scan: replace(scan, patterns=np.fft.ifftshift(scan.patterns[:], axes=(1, 2))),
        ("dc-off-center",),
        "`--dc 0,0`",
        is_wrong=True,
    ),
    "positions in micrometres": Case(
        corners(lambda px: px * 0.027), ("steps-too-small",), "are these micro", is_wrong=True
    ),
    "positions in millimetres": Case(
        corners(lambda px: px * 2.7e-5), ("steps-too-small",), "are these milli", is_wrong=True
    ),
    "positions in nanometres": Case(
        corners(lambda px: px * 27), ("steps-too-large",), "are these nano", is_wrong=True
    ),
    "one position far away": Case(
        far(7), ("position-outliers",), "window 7 is at (y, x) = (20000, 20000)", is_wrong=True
    ),
    "the last position far away": Case(
        far(39), ("position-outliers",), "window 39 is at", is_wrong=True
    ),
    "a bright frame": Case(
        patterns(25, 10_000, np.int64, times=True),
        ("outlier-patterns",),
        "Pattern 25 holds far more",
    ),
    "a frame of the largest value": Case(
        patterns(25, 65535, np.uint16),
        ("saturated-pixels", "outlier-patterns"),
        "values are 65535, and none is larger",
    ),
    "empty frames": Case(
        patterns(slice(10, 15), 0),
        ("empty-patterns",),
        "Patterns 10, 11, 12, 13, 14 hold hardly any",
    ),
    "a probe in another unit": Case(brighter(100), ("probe-power",), "times the counts"),
}


def run(*words: object) -> tuple[str, str]:
    """Return what a command says, and its error."""
    result = CliRunner().invoke(app, [str(each) for each in words])
    assert result.exit_code == 0 or isinstance(result.exception, ValueError), result.exception
    return result.output, str(result.exception or "")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_found_is_said_by_inspect_and_reconstruct(
    case: Case, small_scan: Scan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "scan.npz"
    save_scan(case.spoil(replace(small_scan, frame=None)), path)
    said, error = run("inspect", path, "--quantity", "counts", "--json")
    findings = json.loads(said.splitlines()[0])["findings"]
    assert tuple(each["name"] for each in findings) == case.found
    words = [f"{each['evidence']}: {each['cure']}" for each in findings]
    assert case.words in words[0]
    assert [each["is_wrong"] for each in findings] == [case.is_wrong] * len(findings)
    assert bool(error) == case.is_wrong
    caplog.clear()
    output = ("-o", tmp_path / "product.h5", "--passes", "1", "--solver", "none")
    _, error = run("reconstruct", path, "--quantity", "counts", *output)
    assert words[0] in (error if case.is_wrong else caplog.text)
    assert (tmp_path / "product.h5").exists() != case.is_wrong


def attribute(name: str | tuple[str, ...], factor: float) -> Callable[[h5py.File], None]:
    """Return what multiplies the attributes of a product that end so, wherever they are."""

    def edit(file: h5py.File) -> None:
        for place in (file, file["object"]):
            for key in [key for key in place.attrs if key.endswith(name)]:
                place.attrs[key] = factor * place.attrs[key]

    return edit


def metres(factor: float) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        for axis in "yx":
            file[f"probe_position_{axis}_m"][...] *= factor

    return edit


PRODUCTS = {
    "energy in keV": (attribute("energy_eV", 1e-3), "photon-energy", "is it in keV?", False),
    "energy in J": (attribute("energy_eV", 1.6e-19), "photon-energy", "is it in J?", False),
    "a pixel of half the size": (
        attribute(("height_m", "width_m"), 0.5),
        "pixel-size",
        "λz/(N·detector",
        False,
    ),
    "distance in mm": (attribute("distance_m", 1e3), "pixel-size", "λz/(N·detector", False),
    "positions in mm": (metres(1e3), "outside-canvas", "windows lie outside the 70×74", True),
    "positions in nm": (metres(1e9), "outside-canvas", "windows lie outside the 70×74", True),
    "positions in km": (metres(1e-3), "outside-canvas", "windows lie outside the 70×74", True),
}


@pytest.mark.parametrize(("edit", "name", "words", "is_wrong"), PRODUCTS.values(), ids=PRODUCTS)
def test_numbers_of_a_product_that_do_not_fit_each_other(
    edit: Callable[[h5py.File], None],
    name: str,
    words: str,
    is_wrong: bool,
    small_scan: Scan,
    tmp_path: Path,
) -> None:
    save_scan(replace(small_scan, object_=np.ones_like(small_scan.object_)), tmp_path / "scan")
    with h5py.File(tmp_path / "scan" / "product.h5", "r+") as file:
        edit(file)
    said, error = run("inspect", tmp_path / "scan", "--json")
    findings = {each["name"]: each for each in json.loads(said.splitlines()[0])["findings"]}
    assert words in f"{findings[name]['evidence']}: {findings[name]['cure']}"
    assert (findings[name]["is_wrong"], bool(error)) == (is_wrong, is_wrong)
