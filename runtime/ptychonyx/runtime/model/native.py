"""Recognise what a training leaves behind, where a model file was expected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CHECKPOINT_BACKENDS = {
    ".ckpt": "pytorch",
    ".pt": "pytorch",
    ".pth": "pytorch",
    ".keras": "tensorflow",
    ".h5": "tensorflow",
    ".hdf5": "tensorflow",
    ".safetensors": "tensorflow or pytorch",
}
"""Suffix of a native checkpoint -> the backend that writes it."""

_BACKEND_LINE = re.compile(
    r"""^backend:\s*["']?(tensorflow|pytorch)["']?\s*(?:#.*)?$""", re.MULTILINE
)
"""The one line of a run's config.yaml that matters here."""


@dataclass(frozen=True)
class NativeNetwork:
    """A trained network that was not exported.

    Attributes
    ----------
    kind : "run folder" or "native checkpoint"
    backend : str
        "tensorflow", "pytorch", or "tensorflow or pytorch" where the files do not tell.
    run : Path or None
        The run folder that it is or lies in, if there is one.
    """

    kind: str
    backend: str
    run: Path | None


def recognise_native(path: Path) -> NativeNetwork | None:
    """Return what a path is if it is a run folder or a native checkpoint, else None.

    Parameters
    ----------
    path : Path
        An existing file or folder.

    Examples
    --------
    >>> recognise_native(Path("best.keras"))
    NativeNetwork(kind='native checkpoint', backend='tensorflow', run=None)
    >>> recognise_native(Path("model.onnx")) is None
    True
    """
    is_folder, suffix = path.is_dir(), path.suffix.lower()
    if not is_folder and suffix not in CHECKPOINT_BACKENDS:
        return None
    run = next((folder for folder in (path, *list(path.parents)[:2]) if _is_run(folder)), None)
    kind = "run folder" if is_folder else "native checkpoint"
    if run is not None:
        return NativeNetwork(kind, _backend_of(run), run)
    return None if is_folder else NativeNetwork(kind, CHECKPOINT_BACKENDS[suffix], None)


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (
        (folder / "weights.safetensors").is_file() or (folder / "checkpoints").is_dir()
    )


def _backend_of(run: Path) -> str:
    config = (run / "config.yaml").read_text(encoding="utf-8", errors="replace")
    found = _BACKEND_LINE.search(config)
    return found[1] if found else "tensorflow or pytorch"
