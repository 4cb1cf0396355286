"""What a file is by its first bytes; its name only counts where these say nothing."""

from __future__ import annotations

from pathlib import Path

SIGNATURES = {
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"PK\x03\x04": "npz",
    b"PK\x05\x06": "npz",  # an archive of nothing
    b"\x93NUMPY": "npy",
    b"MATLAB 5.0 MAT-file": "mat5",
    b"MATLAB 7.3 MAT-file": "hdf5",
}
ENDINGS = {
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".cxi", ".nxs", ".nx", ".ptyd", ".ptyr"), "hdf5"),
    ".npz": "npz",
    ".npy": "npy",
    ".mat": "mat5",
}
"""Ending of a name -> what such a file should be."""
HDF5_STARTS = (512, 1024, 2048)
"""Where else an HDF5 file may begin, after bytes of another program."""


def kind_of(path: Path) -> str | None:
    r"""Tell whether a file is "hdf5", "npz", "npy" or "mat5"; a folder and others are None.

    A file that begins like none of them, perhaps since it is damaged, is what its name says.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "scan.dat")
    ...     _ = file.write_bytes(b"PK\x03\x04 and more")
    ...     kind_of(file)
    'npz'
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            start = file.read(64)
            for offset in HDF5_STARTS:
                file.seek(offset)
                if file.read(8) == b"\x89HDF\r\n\x1a\n":
                    return "hdf5"
    except OSError:  # opening it says why
        start = b""
    for signature, kind in SIGNATURES.items():
        if start.startswith(signature):
            return kind
    return ENDINGS.get(path.suffix.lower())
