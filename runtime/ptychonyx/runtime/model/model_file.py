"""From the bytes of a model file to a manifest that can be trusted, without onnxruntime."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import ManifestError
from .graph import (
    FLOAT32,
    OnnxError,
    OnnxFile,
    Shape,
    Value,
    check_safe,
    check_sizes,
    parse_onnx,
    write_onnx,
)
from .manifest import METADATA_KEY, AnyManifest, ModelFacts, read_metadata
from .providers import DYNAMIC_SIDES

MAX_NUM_BYTES = 192 * 2**20
"""The largest network that the settings of a training can make is about as large."""
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


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model file that was read and found whole, safe, and as its manifest promises.

    Attributes
    ----------
    path : Path
        Where it was read from.
    onnx : OnnxFile
        What was read of the file, and checked.
    manifest : Manifest or SolverManifest
        What the file says about itself.
    digest : str
        sha256 of the file.
    """

    path: Path
    onnx: OnnxFile
    manifest: AnyManifest
    digest: str

    def to_session(self) -> bytes:
        """Return the bytes that a session may read: the graph as it was checked, written again.

        A session reads them with another parser than the one that checked the file. What only that
        parser would have seen in the file is not in them.
        """
        return write_onnx(self.onnx)


def open_model_file(path: str | Path) -> ModelFile:
    """Read a model file and check it, so that it may be run.

    Parameters
    ----------
    path : path
        A model file (.onnx).

    Raises
    ------
    ManifestError
        If there is no such file, it is not a model file, or it is not one that can be trusted. For
        a native checkpoint or a run folder, the message names its backend and how to export it.

    Examples
    --------
    >>> open_model_file("best.onnx")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ManifestError: There is no file best.onnx; give the path of a model \
file (.onnx).
    """
    path = Path(path)
    data = _read_bytes(path)
    onnx, manifest = check_model(data, str(path))
    return ModelFile(path, onnx, manifest, hashlib.sha256(data).hexdigest())


def load_manifest(path: str | Path) -> AnyManifest:
    """Read the manifest of a model file, checked as for a reconstruction.

    Returns
    -------
    Manifest or SolverManifest
        By the kind of the model.

    Raises
    ------
    ManifestError
        As `open_model_file`.
    """
    return open_model_file(path).manifest


def check_model(data: bytes, source: str) -> tuple[OnnxFile, AnyManifest]:
    """Return graph and manifest of a model, once the graph was found safe and as promised.

    Parameters
    ----------
    data : bytes
        The whole file.
    source : str
        Its path, for messages.

    Raises
    ------
    ManifestError
        If it is no ONNX file, has no manifest or a changed one, or the graph is unsafe or differs
        from the manifest.

    Examples
    --------
    >>> check_model(b"a text", "notes.txt")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ManifestError: notes.txt cannot be used as a model file: it is not an \
ONNX file, or is damaged or cut short (a field ends beyond the data). Copy it again, or make a \
model file with `ptychonyx export RUN -o model.onnx`.
    """
    with _unusable(source):
        file = parse_onnx(data)
        check_safe(file)
    if METADATA_KEY not in file.metadata:
        raise ManifestError(
            f"{source} is an ONNX file without a `{METADATA_KEY}` manifest, so nothing says "
            "how to scale its input or what it was trained on; make a model file with "
            "`ptychonyx export RUN -o model.onnx`, or of another project's network with "
            "`ptychonyx import`."
        )
    try:
        manifest = read_metadata(file.metadata)
    except ManifestError as error:
        raise ManifestError(f"{source}: {error}") from error
    _check_graph(file, manifest, source)
    with _unusable(source):
        check_sizes(file, _largest_inputs(manifest))
    return file, manifest


@contextmanager
def _unusable(source: str) -> Iterator[None]:
    """Turn what is wrong with a graph into an error that names the file."""
    try:
        yield
    except OnnxError as error:
        raise ManifestError(
            f"{source} cannot be used as a model file: {error}. Copy it again, or make a model "
            "file with `ptychonyx export RUN -o model.onnx`."
        ) from error


def _largest_inputs(manifest: ModelFacts) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the inputs with the usual largest length of each dynamic side."""
    step = manifest.multiple_px

    def length(side: int | str) -> int:
        if isinstance(side, int):
            return side
        return -(-DYNAMIC_SIDES[side][-1] // step) * step

    return {name: tuple(map(length, shape)) for name, shape in manifest.inputs.items()}


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise ManifestError(f"There is no file {path}; give the path of a model file (.onnx).")
    native = recognise_native(path)
    if native is not None:
        raise ManifestError(
            f"{path} is a {native.kind} of {native.backend}, but a model file (.onnx) is needed "
            f"here; export it with `ptychonyx export {native.run or 'RUN'} -o model.onnx`."
        )
    if path.is_dir():
        raise ManifestError(f"{path} is a folder; give the path of a model file (.onnx).")
    if not path.is_file():
        raise ManifestError(f"{path} is a pipe or a device; give the path of a model file (.onnx).")
    num_bytes = path.stat().st_size
    if not 0 < num_bytes <= MAX_NUM_BYTES:
        raise ManifestError(
            f"{path} has {num_bytes} bytes; a model file has between 1 and {MAX_NUM_BYTES}: "
            "copy or export it again."
        )
    return path.read_bytes()


def _check_graph(file: OnnxFile, manifest: ModelFacts, source: str) -> None:
    """Refuse a graph whose inputs, outputs or opset differ from the manifest's."""
    promised: dict[str, Shape] = {**manifest.inputs, **manifest.outputs}
    inputs, outputs = ([value.name for value in values] for values in (file.inputs, file.outputs))
    if (inputs, outputs) != ([*manifest.inputs], [*manifest.outputs]):
        raise ManifestError(
            f"{source} has inputs {inputs} and outputs {outputs}; needed are "
            f"{[*manifest.inputs]} and {[*manifest.outputs]}: export the model again."
        )
    for value in (*file.inputs, *file.outputs):
        _check_value(value, promised[value.name], source)
    opset = file.opsets.get("", file.opsets.get("ai.onnx"))
    if opset != manifest.opset:
        raise ManifestError(
            f"{source} has opset {opset}, but its manifest says {manifest.opset}; export the "
            "model again."
        )


def _check_value(value: Value, promised: Shape, source: str) -> None:
    sides = value.shape
    if len(sides) == len(promised):
        # what the file calls a dynamic side does not matter
        sides = tuple(
            name if isinstance(name, str) and not isinstance(side, int) else side
            for side, name in zip(sides, promised, strict=True)
        )
    if value.data_type != FLOAT32 or sides != promised:
        raise ManifestError(
            f"`{value.name}` of {source} has shape {sides} and ONNX type {value.data_type}; its "
            f"manifest promises {promised} and type {FLOAT32} (float32): export the model again."
        )


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
