"""Look inside an .onnx file without running it, so that a file that cannot be trusted never is.

An ONNX file is one protobuf message. A few of its fields are enough to judge it, and walking the
wire format for those takes no package besides Python. Field numbers are from onnx.proto3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ManifestError

FLOAT32 = 1
"""TensorProto.FLOAT."""
STANDARD_DOMAINS = ("", "ai.onnx")
MAX_NUM_BYTES = 2**31 - 1
"""A protobuf message cannot be larger."""
MAX_DEPTH = 32
"""Of messages in messages; protobuf itself stops at 100, our graphs need 6."""
MAX_ELEMENTS_PER_BYTE = 4
"""The narrowest tensor type has 2 bits an element."""

CHECKPOINT_BACKENDS = {
    ".ckpt": "pytorch",
    ".pt": "pytorch",
    ".pth": "pytorch",
    ".keras": "tensorflow",
    ".h5": "tensorflow",
    ".hdf5": "tensorflow",
    ".safetensors": "tensorflow or pytorch",
}
"""Which backend writes native checkpoints of this suffix."""

Message = Mapping[int, list[int | memoryview]]
Shape = tuple[int | str | None, ...]


@dataclass(frozen=True)
class Tensor:
    """A constant stored in the file: an initialiser, or the attribute of a node."""

    name: str
    dims: tuple[int, ...]
    data_type: int
    is_external: bool


@dataclass(frozen=True)
class Value:
    """An input or output of the graph; a dynamic side has its name (or None) in `shape`."""

    name: str
    data_type: int
    shape: Shape


@dataclass(frozen=True)
class OnnxFile:
    """What can be known about an ONNX file without running it.

    Attributes
    ----------
    source : str
        Where it came from, for messages.
    num_bytes, ir_version, num_nodes, num_functions : int
    opsets : mapping of domain to version
    metadata : mapping of key to text
    inputs, outputs : tuple of Value
        Of the main graph.
    tensors : tuple of Tensor
        Of all graphs: subgraphs, attributes and functions too.
    node_domains : frozenset of str
    """

    source: str
    num_bytes: int
    ir_version: int
    num_nodes: int
    num_functions: int
    opsets: Mapping[str, int]
    metadata: Mapping[str, str]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    tensors: tuple[Tensor, ...]
    node_domains: frozenset[str]


def read_model_bytes(path: str | Path) -> bytes:
    """Read a whole model file; say what is wrong if it cannot be one.

    Raises
    ------
    ManifestError
        If there is no such file, or it is a native checkpoint, a run folder, empty or too large.

    Examples
    --------
    >>> read_model_bytes("best.keras")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ManifestError: There is no file best.keras; give the path of a model \
file (.onnx).
    """
    path = Path(path)
    if not path.exists():
        raise ManifestError(f"There is no file {path}; give the path of a model file (.onnx).")
    if path.is_dir() or path.suffix.lower() in CHECKPOINT_BACKENDS:
        raise ManifestError(_not_a_model_message(path))
    num_bytes = path.stat().st_size
    if not 0 < num_bytes <= MAX_NUM_BYTES:
        raise ManifestError(
            f"{path} has {num_bytes} bytes; a model file has between 1 and {MAX_NUM_BYTES}: "
            "copy or export it again."
        )
    return path.read_bytes()


def parse_onnx(data: bytes, source: str) -> OnnxFile:
    """Read names, shapes, types, domains and metadata of an ONNX file, but no weights.

    Parameters
    ----------
    data : bytes
        The whole file.
    source : str
        Its path, for messages.

    Raises
    ------
    ManifestError
        If it is no ONNX file, or a part of one.

    Examples
    --------
    >>> parse_onnx(b"a text", "notes.txt")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ManifestError: notes.txt is not an ONNX file, or it is damaged or cut \
short (a field ends beyond the data); copy it again, or make a model file with \
`ptychonyx export RUN -o model.onnx`.
    """
    try:
        return _parse(memoryview(data), source)
    except _WireError as error:
        raise ManifestError(
            f"{source} is not an ONNX file, or it is damaged or cut short ({error}); copy it "
            "again, or make a model file with `ptychonyx export RUN -o model.onnx`."
        ) from error


def check_safe(file: OnnxFile) -> None:
    """Refuse what must not reach a session.

    A session would follow external data out of the file, look for foreign operators, and reserve
    memory for any tensor that is declared.

    Raises
    ------
    ManifestError
        Names the tensor or the domain.
    """
    for tensor in file.tensors:
        if tensor.is_external:
            raise ManifestError(
                f"{file.source} keeps the data of `{tensor.name}` in another file; a model file "
                "must be whole: export it again with `ptychonyx export RUN -o model.onnx`."
            )
        num_elements = math.prod(tensor.dims)
        if min(tensor.dims, default=0) < 0 or num_elements > MAX_ELEMENTS_PER_BYTE * file.num_bytes:
            raise ManifestError(
                f"{file.source} declares `{tensor.name}` with shape {list(tensor.dims)[:8]}, which "
                f"cannot be in a file of {file.num_bytes} bytes; do not use this file."
            )
    foreign = sorted((set(file.opsets) | file.node_domains) - set(STANDARD_DOMAINS))
    if foreign or file.num_functions:
        raise ManifestError(
            f"{file.source} uses operators outside the ONNX standard "
            f"({', '.join(foreign) or 'local functions'}); only standard operators run everywhere: "
            "export it again with `ptychonyx export RUN -o model.onnx`."
        )


class _WireError(ValueError):
    """The bytes are not a protobuf message of the expected kind."""


_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "entry", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "tensor": {},
    "opset": {},
    "entry": {},
}
"""Kind of message -> field number -> kind of the messages in that field."""

_SINGLE = {("model", 7), ("attribute", 5), ("attribute", 6), ("attribute", 22)} | {
    ("sparse", 1),
    ("sparse", 2),
}
"""Fields that protobuf would merge if they came twice; no exporter does that, so it is refused."""


def _parse(data: memoryview, source: str) -> OnnxFile:
    model = _message(data)
    if 7 not in model or not model.get(1):
        raise _WireError("it has no graph or no IR version")
    found: dict[str, list[Message]] = {kind: [] for kind in _CHILDREN}
    for kind, message in _walk("model", data, 0):
        found[kind].append(message)
    graph = _message(_bytes(model, 7))
    return OnnxFile(
        source=source,
        num_bytes=len(data),
        ir_version=_integer(model, 1),
        num_nodes=len(found["node"]),
        num_functions=len(found["function"]),
        opsets={_text(opset, 1): _integer(opset, 2) for opset in found["opset"]},
        metadata=_metadata(found["entry"]),
        inputs=tuple(_value(part) for part in _parts(graph, 11)),
        outputs=tuple(_value(part) for part in _parts(graph, 12)),
        tensors=tuple(_tensor(message) for message in found["tensor"]),
        node_domains=frozenset(_text(node, 7) for node in found["node"]),
    )


def _walk(kind: str, data: memoryview, depth: int) -> Iterator[tuple[str, Message]]:
    if depth > MAX_DEPTH:
        raise _WireError(f"graphs are nested more than {MAX_DEPTH} deep")
    message = _message(data)
    yield kind, message
    for number, child in _CHILDREN[kind].items():
        parts = _parts(message, number)
        if len(parts) > 1 and (kind, number) in _SINGLE:
            raise _WireError(f"field {number} of a {kind} comes twice")
        for part in parts:
            yield from _walk(child, part, depth + 1)


def _message(data: memoryview) -> Message:
    """Split one message into its fields; numbers stay numbers, everything else is a view."""
    fields: dict[int, list[int | memoryview]] = {}
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        value: int | memoryview
        if wire_type == 0:
            value, position = _varint(data, position)
        else:
            length, position = _length(data, position, wire_type)
            value = data[position : position + length]
            position += length
        if position > len(data):
            raise _WireError("a field ends beyond the data")
        fields.setdefault(number, []).append(value)
    return fields


def _length(data: memoryview, position: int, wire_type: int) -> tuple[int, int]:
    if wire_type == 2:
        return _varint(data, position)
    fixed = {1: 8, 5: 4}
    if wire_type not in fixed:
        raise _WireError(f"wire type {wire_type} at byte {position}")
    return fixed[wire_type], position


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise _WireError("a number is cut short")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
    raise _WireError(f"a number is too long at byte {position}")


def _parts(message: Message, number: int) -> list[memoryview]:
    return [part for part in message.get(number, []) if isinstance(part, memoryview)]


def _bytes(message: Message, number: int) -> memoryview:
    """Return the last occurrence, which is the one that counts in protobuf."""
    parts = _parts(message, number)
    return parts[-1] if parts else memoryview(b"")


def _text(message: Message, number: int) -> str:
    try:
        return bytes(_bytes(message, number)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _WireError(f"field {number} is not text") from error


def _integer(message: Message, number: int) -> int:
    values = [value for value in message.get(number, []) if isinstance(value, int)]
    return _signed(values[-1]) if values else 0


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _tensor(message: Message) -> Tensor:
    dims: list[int] = []
    for part in message.get(1, []):
        if isinstance(part, int):
            dims.append(_signed(part))
            continue
        position = 0  # packed: many numbers in one field
        while position < len(part):
            value, position = _varint(part, position)
            dims.append(_signed(value))
    # either sign of external data counts: readers differ on which one they believe
    is_external = 13 in message or any(location != 0 for location in message.get(14, []))
    return Tensor(_text(message, 8), tuple(dims), _integer(message, 2), is_external)


def _value(data: memoryview) -> Value:
    message = _message(data)
    tensor_type = _message(_bytes(_message(_bytes(message, 2)), 1))
    shape: list[int | str | None] = []
    for part in _parts(_message(_bytes(tensor_type, 2)), 1):
        side = _message(part)
        shape.append(_integer(side, 1) if 1 in side else _text(side, 2) or None)
    return Value(_text(message, 1), _integer(tensor_type, 1), tuple(shape))


def _metadata(entries: list[Message]) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for entry in entries:
        key = _text(entry, 1)
        if key in metadata:
            raise _WireError(f"metadata {key!r} comes twice")
        metadata[key] = _text(entry, 2)
    return metadata


def _not_a_model_message(path: Path) -> str:
    run = next((folder for folder in (path, *list(path.parents)[:2]) if _is_run(folder)), None)
    if run is None and path.is_dir():
        return f"{path} is a folder; give the path of a model file (.onnx)."
    backend = _backend_of(run) if run else CHECKPOINT_BACKENDS[path.suffix.lower()]
    what = "run folder" if path.is_dir() else "native checkpoint"
    return (
        f"{path} is a {what} of {backend}, but a model file (.onnx) is needed here; export it with "
        f"`ptychonyx export {run or 'RUN'} -o model.onnx`."
    )


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (
        (folder / "weights.safetensors").is_file() or (folder / "checkpoints").is_dir()
    )


def _backend_of(run: Path) -> str:
    """Return the backend that a run's config names, or both where it cannot be read."""
    unknown = "tensorflow or pytorch"
    try:
        import yaml  # comes with training; the runtime alone does not need it
    except ImportError:
        return unknown
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return unknown
    backend = config.get("backend") if isinstance(config, dict) else None
    return backend if backend in ("tensorflow", "pytorch") else unknown
