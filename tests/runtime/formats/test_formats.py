"""What a file holds decides which format reads it, and a damaged file is answered with a `ScanError`."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from format_files import Arrays, put, write_npz

from ptychonyx.runtime import load_object, load_probe, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scaling import counts_per_pattern
from ptychonyx.runtime.scan import Scan

BAD_ARGUMENTS: dict[str, tuple[Arrays, str]] = {
    "quantity": ({"quantity": "photons"}, '`quantity` is .photons., expected one of: "counts"'),
    "origin": (
        {"position_origin": "middle"},
        'expected one of: "corner", "center", "ptychodus"',
    ),
    "patterns": ({"patterns_path": "diffraction.h5"}, "holds its own patterns; leave out"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_bad_arguments(arguments: Arrays, message: str, tmp_path: Path) -> None:
    write_npz(tmp_path / "scan.npz", {})
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "scan.npz", **arguments)


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


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("probe_position_y_px", np.full(40, np.inf), "Position 0 is not finite"),
        ("patterns", np.ones((3, 32, 32)), "There are 3 patterns but"),
        ("patterns", np.ones((40, 32, 31)), "`patterns` are 32×31"),
    ],
)
def test_every_refusal_names_the_file(
    name: str, value: Any, message: str, small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path / "train.h5")
    with h5py.File(tmp_path / "train.h5", "r+") as file:
        put(name, value)(file)
    with pytest.raises(ScanError, match=rf"train\.h5: {message}"):
        load_scan(tmp_path / "train.h5")


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


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


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["scan.npz", "product.h5", "diffraction.h5"])
def test_truncated_files(name: str, share: float, small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    save_scan(small_scan, tmp_path / "scan.npz")
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    kind = "NPZ" if name.endswith(".npz") else "HDF5"
    with pytest.raises(ScanError, match=f"(?s)is not a readable {kind} file.*copy it again"):
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


@pytest.mark.ptychodus
def test_ptychodus_itself_reads_and_writes_the_same_scan(small_scan: Scan, tmp_path: Path) -> None:
    io = pytest.importorskip("ptychodus.api.io", reason="Ptychodus 1.7 is not installed")
    from ptychodus.api.reconstruct import prepare_reconstruct_input

    save_scan(small_scan, tmp_path)
    product = io.load_product(tmp_path / "product.h5")
    patterns = io.load_diffraction_data(tmp_path / "diffraction.h5")
    exported = prepare_reconstruct_input(patterns, product)
    io.save_ptychopinn_training_data(tmp_path / "train.npz", exported)
    io.save_training_data(tmp_path / "train.h5", exported)
    (tmp_path / "again").mkdir()
    io.save_product(tmp_path / "again" / "product.h5", product)
    io.save_diffraction_data(tmp_path / "again" / "diffraction.h5", patterns)
    for name in ("train.npz", "train.h5", "again"):
        read = load_scan(tmp_path / name, quantity="counts")
        np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-6)
        np.testing.assert_array_equal(read.patterns[0:40], small_scan.patterns)
        np.testing.assert_array_equal(read.probe, small_scan.probe)
