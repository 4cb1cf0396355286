# /// script
# dependencies = ["ptychonyx[all]"]
# ///
"""Real data for anyone: the Velociprobe Siemens star that ships in tike's source package.

Needs pip and a package index. The archive is BSD-3 (UChicago Argonne); patterns are counts with
DC at the corner, positions are (row, column) in pixels, and the probe has one mode.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np

FOLDER = Path("siemens_star")
MEMBER = "tests/data/siemens-star-small.npz.bz2"
BEAM_OFFSET_PX = 3
"""The beam lies this far to the right of the archive's DC pixel."""
SHA256 = "e6a89bfb8e62ff77e01ca2cef4384898b1208f541652a5449dc0c61781006a19"


def ptychonyx(*arguments: object) -> None:
    words = [str(word) for word in arguments]
    print("$ ptychonyx", *words, flush=True)
    program = [sys.executable, "-c", "from ptychonyx.cli import main; main()"]
    subprocess.run([*program, *words], check=True)


def fetch() -> bytes:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "tike==0.26.0", "-d", str(FOLDER)], check=True)
    archive = next(FOLDER.glob("tike-0.26.0.tar.gz"))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{archive} has sha256 {found}, expected {SHA256}; delete it and try again.")
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"tike-0.26.0/{MEMBER}")
        assert member is not None
        return bz2.decompress(member.read())


def write_scan(raw: bytes, path: Path, window_px: int = 64) -> None:
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        patterns = np.fft.fftshift(file["data"][0], axes=(-2, -1))
        patterns = np.roll(patterns, -BEAM_OFFSET_PX, axis=-1)
        positions = file["scan"][0].astype(np.float64)
        probe = file["probe"].reshape(file["probe"].shape[-2:])
    side = patterns.shape[-1]
    middle = slice((side - window_px) // 2, (side + window_px) // 2)
    patterns = np.rint(patterns[:, middle, middle]).astype(np.uint16)
    # fewer detector pixels are larger object pixels: positions shrink, the probe's spectrum is cut
    positions *= window_px / side
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe)))
    spectrum = np.roll(spectrum, -BEAM_OFFSET_PX, axis=-1)[middle, middle]
    small = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    centers = positions - positions.min(axis=0) + window_px / 2 + 8
    np.savez_compressed(
        path, diff3d=patterns, ycoords=centers[:, 0], xcoords=centers[:, 1], probeGuess=small
    )


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    scan, run, model = FOLDER / "scan.npz", FOLDER / "run", FOLDER / "model.onnx"
    write_scan(fetch(), scan)
    config = Path(__file__).with_name("siemens_star.yaml")
    ptychonyx("train", scan, "--backend", "pytorch", "--config", config, "-o", run)
    ptychonyx("export", run, "-o", model)
    picture = FOLDER / "star.png"
    counts = ("--quantity", "counts")
    ptychonyx(
        "reconstruct", scan, *counts, "-m", model, "-o", FOLDER / "star.h5", "--plot", picture
    )
    print(f"Look at {picture}.")


if __name__ == "__main__":
    main()
