"""What damaged, odd or hostile files are answered with: never anything but a `ScanError`.

Every message says what was given, what is needed and what to do. Missing keys, wrong shapes and bad
pixels have their table in `test_bad_inputs.py`.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ptychonyx.runtime import load_object, load_probe, load_product, load_scan
from ptychonyx.runtime.errors import QuantityError, ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scaling import counts_per_pattern
from ptychonyx.runtime.scan import Scan

Arrays = dict[str, Any]
Edit = Callable[[h5py.File], Any]
NUM, SIDE = 4, 16
GOOD: Arrays = {
    "diff3d": np.random.default_rng(0).uniform(0, 9, (NUM, SIDE, SIDE)),
    "xcoords": np.arange(8.0, 8.0 + NUM),
    "ycoords": np.arange(8.0, 8.0 + NUM),
    "probeGuess": np.ones((SIDE, SIDE), complex),
}
OBJECTS = np.array([{"a": 1}] * NUM, dtype=object)


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def write_npz(path: Path, changes: Arrays) -> None:
    arrays = {name: array for name, array in (GOOD | changes).items() if array is not None}
    np.savez(path, **arrays)


BAD_NPZ: dict[str, tuple[Arrays, str]] = {
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
    "probe of another size": ({"probeGuess": np.ones((2, 8, 8))}, r"`probe` has shape \(2, 8, 8\)"),
    "probe as a list": ({"probeGuess": np.ones(SIDE)}, r"has shape \(16,\), expected \(N, N\)"),
    "object of no pixels": ({"objectGuess": np.ones((0, 5))}, r"`objectGuess` .* \(0, 5\)"),
    "two pixel sizes": ({"pixel_size_m": np.ones(2)}, r"`pixel_size_m` .*; one number is needed"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_npz(changes: Arrays, message: str, tmp_path: Path) -> None:
    write_npz(tmp_path / "scan.npz", changes)
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "scan.npz")


BAD_ARGUMENTS: dict[str, tuple[Arrays, str]] = {
    "quantity": ({"quantity": "photons"}, '`quantity` is .photons., expected one of: "counts"'),
    "origin": ({"position_origin": "middle"}, '"corner", "center", "ptychodus"'),
    "patterns": ({"patterns_path": "diffraction.h5"}, "holds its own patterns; leave out"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_bad_arguments(arguments: Arrays, message: str, tmp_path: Path) -> None:
    write_npz(tmp_path / "scan.npz", {})
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "scan.npz", **arguments)


WHOLE = np.random.default_rng(0).poisson(9, (NUM, SIDE, SIDE))
UNCLEAR: dict[str, Arrays] = {
    "unsigned": {"diff3d": WHOLE.astype(np.uint16)},
    "floats": {"diff3d": WHOLE.astype(np.float32)},
    "one and nothing": {"diff3d": (WHOLE > 9).astype(np.float64)},
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
    with pytest.raises(QuantityError) as caught:
        load_scan(path)
    lines = str(caught.value).splitlines()[1:]
    assert lines == [f"  ptychonyx COMMAND {path} --quantity {q}" for q in ("counts", "amplitude")]
    for quantity in ("counts", "amplitude"):
        assert load_scan(path, quantity=quantity).quantity == quantity


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "exploded")
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(bomb))
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(bomb))
    write_npz(tmp_path / "scan.npz", {"probeGuess": np.array([bomb], dtype=object)})
    np.save(tmp_path / "object.npy", np.array([bomb], dtype=object))
    for path in sorted(tmp_path.iterdir()):
        for read in (load_scan, load_object, load_probe):
            with pytest.raises(ScanError):
                read(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["scan.npz", "product.h5", "diffraction.h5"])
def test_truncated_files(name: str, share: float, small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    save_scan(small_scan, tmp_path / "scan.npz")
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ScanError, match="copy it again"):
        load_scan(tmp_path / name)


@pytest.mark.parametrize("name", ["scan.npz", "product.h5", "diffraction.h5"])
def test_flipped_bytes_raise_nothing_else(name: str, small_scan: Scan, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    save_scan(small_scan, tmp_path)
    save_scan(small_scan, tmp_path / "scan.npz")
    whole = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
    num_refused = 0
    for _ in range(40):
        damaged = whole.copy()
        damaged[rng.integers(0, min(4000, len(whole)), 8)] = rng.integers(0, 256, 8)
        (tmp_path / name).write_bytes(damaged.tobytes())
        try:
            counts_per_pattern(load_scan(tmp_path / name, quantity="counts"))
        except ScanError:
            num_refused += 1
    assert num_refused > 0


def test_damaged_patterns_are_noticed_when_they_are_read(tmp_path: Path) -> None:
    write_npz(tmp_path / "scan.npz", {})
    content = bytearray((tmp_path / "scan.npz").read_bytes())
    content[2000] ^= 1
    (tmp_path / "scan.npz").write_bytes(content)
    scan = load_scan(tmp_path / "scan.npz", quantity="amplitude")
    with pytest.raises(ScanError, match=r"`diff3d` of .*Bad CRC-32"):
        counts_per_pattern(scan)


def test_a_header_cannot_ask_for_memory_that_the_file_does_not_fill(tmp_path: Path) -> None:
    write_npz(tmp_path / "scan.npz", {})
    content = (tmp_path / "scan.npz").read_bytes()
    shape, huge = b"(4, 16, 16), }  ", b"(4, 99999,99999)}"
    assert content.count(shape) == 1
    (tmp_path / "scan.npz").write_bytes(content.replace(shape + b" ", huge))
    with pytest.raises(ScanError, match="bytes are too few"):
        load_scan(tmp_path / "scan.npz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.npz", "There is no file"),
        ("missing.h5", "There is no file"),
        ("scan.tif", "is of no known format; readable are: "),
        ("scan", "is of no known format"),
        ("text.npz", "is not a readable NPZ file"),
        ("text.h5", "is not a readable HDF5 file"),
        ("text.npy", "bare array without positions"),
        ("folder", "product.h5"),
    ],
)
def test_files_that_are_no_scan(name: str, message: str, tmp_path: Path) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif not name.startswith("missing"):
        (tmp_path / name).write_text("not a scan")
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / name)


def put(name: str, value: Any) -> Edit:
    """Replace a dataset, and keep its attributes."""

    def edit(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = value
        file[name].attrs.update(attributes)

    return edit


def drop(name: str, attribute: str | None = None) -> Edit:
    def edit(file: h5py.File) -> None:
        if attribute is None:
            del file[name]
        else:
            del file[name].attrs[attribute]

    return edit


def attribute(name: str, key: str, value: Any) -> Edit:
    return lambda file: file[name].attrs.create(key, value)


BAD_HDF5: dict[str, tuple[str, Edit, str]] = {
    "no indexes of positions": (
        "product.h5",
        drop("probe_position_indexes"),
        "no dataset `probe_position_indexes`",
    ),
    "fewer positions than indexes": (
        "product.h5",
        put("probe_position_x_m", np.zeros(39)),
        "40 `probe_position_indexes` but 39 `probe_position_x_m`",
    ),
    "position not finite": (
        "product.h5",
        put("probe_position_y_m", np.r_[np.zeros(39), np.nan]),
        "Position 39 is not finite",
    ),
    "fractional indexes": (
        "product.h5",
        put("probe_position_indexes", np.arange(40) + 0.5),
        "whole numbers are needed",
    ),
    "no pixel size": (
        "product.h5",
        drop("object", "pixel_width_m"),
        "no attribute `object_pixel_width_m`",
    ),
    "negative pixel": (
        "product.h5",
        attribute("object", "pixel_height_m", -1.0),
        "both sides must be positive",
    ),
    "pixel as text": ("product.h5", attribute("object", "pixel_width_m", "a"), "one number"),
    "object as a list": ("product.h5", put("object", np.zeros(5)), r"`object` .* shape \(5,\)"),
    "oblong probe": ("product.h5", put("probe", np.ones((1, 2, 32, 30))), "`probe` of"),
    "probe of another size": (
        "product.h5",
        put("probe", np.ones((3, 16, 16))),
        "`probe` has shape",
    ),
    "probe with infinities": (
        "product.h5",
        put("probe", np.full((32, 32), np.inf)),
        "values that are not finite",
    ),
    "nothing in common": (
        "diffraction.h5",
        put("indexes", np.arange(40) + 900),
        "None of the 40 positions .* shares its scan index with one of the 40 patterns",
    ),
    "indexes repeated": (
        "diffraction.h5",
        put("indexes", np.r_[np.arange(39), 7]),
        "two patterns have the same scan index, 7",
    ),
    "fewer indexes than patterns": (
        "diffraction.h5",
        put("indexes", np.arange(39)),
        "40 patterns but 39 indexes",
    ),
    "empty": ("diffraction.h5", put("patterns", np.zeros((0, 32, 32))), "The scan is empty"),
    "one image": ("diffraction.h5", put("patterns", np.zeros((32, 32))), r"expected \(n, N, N\)"),
    "oblong": (
        "diffraction.h5",
        put("patterns", np.ones((40, 32, 30))),
        "square windows are needed",
    ),
    "complex": (
        "diffraction.h5",
        put("patterns", np.ones((40, 32, 32), complex)),
        "real numbers are needed",
    ),
    "mask of another size": (
        "diffraction.h5",
        put("bad_pixels", np.zeros((8, 8), bool)),
        "`bad_pixels` has shape",
    ),
    "all zero": (
        "diffraction.h5",
        put("patterns", np.zeros((40, 32, 32))),
        "All diffraction patterns are zero",
    ),
    "negative": (
        "diffraction.h5",
        put("patterns", -np.ones((40, 32, 32))),
        "Pattern 0 holds a negative value",
    ),
}


@pytest.mark.parametrize(("name", "edit", "message"), BAD_HDF5.values(), ids=BAD_HDF5)
def test_bad_ptychodus_files(
    name: str, edit: Edit, message: str, small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / name, "r+") as file:
        edit(file)
    with pytest.raises(ScanError, match=message):
        counts_per_pattern(load_scan(tmp_path))


def test_bad_ptychodus_pairs(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    for arguments, message in (
        ({"quantity": "amplitude"}, "Ptychodus files hold counts"),
        ({"position_origin": "center"}, "in metres, which leave no choice"),
        ({"patterns_path": tmp_path / "other.h5"}, "There are no patterns for"),
    ):
        with pytest.raises(ScanError, match=message):
            load_scan(tmp_path / "product.h5", **arguments)
    with pytest.raises(ScanError, match="holds patterns itself"):
        load_scan(tmp_path / "diffraction.h5", patterns_path=tmp_path / "diffraction.h5")
    (tmp_path / "diffraction.h5").rename(tmp_path / "alone.h5")
    with pytest.raises(
        ScanError, match=r"put diffraction\.h5 beside the product, or name the file"
    ):
        load_scan(tmp_path / "product.h5")
    (tmp_path / "product.h5").unlink()
    with pytest.raises(ScanError, match=r"put product\.h5 beside diffraction\.h5"):
        load_scan(tmp_path / "alone.h5")


def test_what_has_no_partner_is_left_out_aloud(
    small_scan: Scan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "diffraction.h5", "r+") as file:
        put("indexes", np.arange(40) + 4)(file)
    with caplog.at_level(logging.WARNING):
        assert load_scan(tmp_path).num_patterns == 36
    assert "4 of 40 positions and 4 of 40 patterns have no partner" in caplog.text


def test_bad_products(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        del file["probe"]
    for read in (load_product, load_probe):
        with pytest.raises(ScanError, match="holds no probe"):
            read(tmp_path / "product.h5")
    assert load_scan(tmp_path).probe is None
    with pytest.raises(ScanError, match="no dataset `object`"):
        load_object(tmp_path / "diffraction.h5")
    write_npz(tmp_path / "scan.npz", {})
    with pytest.raises(ScanError, match="holds no probe"):
        load_product(tmp_path / "scan.npz")


TRAINING = {
    "patterns": np.ones((NUM, SIDE, SIDE)),
    "probe_position_y_px": np.arange(NUM) + 8.0,
    "probe_position_x_px": np.arange(NUM) + 8.0,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patterns": None}, "has no dataset `patterns`"),
        ({"probe_position_x_px": None}, "has no dataset `probe_position_x_px`"),
        ({"probe_position_x_px": np.arange(3.0)}, "4 `probe_position_y_px` but 3"),
        ({"patterns": np.ones((3, SIDE, SIDE))}, "There are 3 patterns but"),
        ({"probe": np.ones((8, 8))}, "`probe` has shape"),
    ],
)
def test_bad_training_data(changes: Arrays, message: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "train.h5", "w") as file:
        for name, value in (TRAINING | changes).items():
            if value is not None:
                file[name] = value
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "train.h5")
