"""Put a graph together by hand, where there is no network to export: operators, constants, names.

The runtime has no ONNX package. What is put together here is written by `write_onnx`, as model files
are before a session reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .onnx_file import FLOAT32, INT, INTS, Attribute, Node, OnnxFile, Shape, Tensor, Value
from .writing import write_onnx

OPSET = 18
"""Version of the ONNX operators of all our graphs: the newest that tf2onnx writes."""
IR_VERSION = 10
"""Version of the file format: onnxruntime 1.20 and later read it."""
INT64 = 7
"""Number of int64 among the data types of ONNX (TensorProto.INT64)."""

Constant = NDArray[np.float32] | NDArray[np.int64]
Settings = Mapping[str, int | tuple[int, ...]]
_NONE: Settings = {}


class GraphBuilder:
    """Collect the operators of a graph; each result gets a name, by which others take it.

    Examples
    --------
    >>> graph = GraphBuilder()
    >>> half = graph.constant(np.array([0.5], np.float32))
    >>> graph.add("Mul", "x", half, result="y")
    'y'
    >>> data = graph.to_bytes({"x": ("n",)}, {"y": ("n",)})
    >>> import onnxruntime
    >>> session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    >>> session.run(["y"], {"x": np.array([2, 4], np.float32)})
    [array([1., 2.], dtype=float32)]
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}

    def constant(self, array: Constant) -> str:
        """Return the name of a constant, float32 or int64; equal ones are kept once."""
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        key = (array.dtype.name, array.shape, raw)
        if key not in self._constants:
            data_type = {"float32": FLOAT32, "int64": INT64}[array.dtype.name]
            name = f"constant_{len(self._constants)}"
            tensor = Tensor(name, array.shape, data_type, False, memoryview(raw))
            self._constants[key] = tensor
        return self._constants[key].name

    def add(
        self, op_type: str, *inputs: str, settings: Settings = _NONE, result: str | None = None
    ) -> str:
        """Add an operator of one result and return the result's name, by default a new one."""
        (name,) = self._add(op_type, inputs, settings, [result or self._new_name()])
        return name

    def split(self, value: str, lengths: Sequence[int], *, axis: int) -> tuple[str, ...]:
        """Cut a tensor into parts of some lengths along an axis; return their names."""
        names = [f"{self._new_name()}_{number}" for number in range(len(lengths))]
        sizes = self.constant(np.array(lengths, np.int64))
        return self._add("Split", (value, sizes), {"axis": axis}, names)

    def _new_name(self) -> str:
        return f"result_{len(self._nodes)}"

    def _add(
        self, op_type: str, inputs: Sequence[str], settings: Settings, outputs: Sequence[str]
    ) -> tuple[str, ...]:
        attributes = tuple(
            Attribute(name, INT, (value,))
            if isinstance(value, int)
            else Attribute(name, INTS, value)
            for name, value in settings.items()
        )
        names = tuple(outputs)
        self._nodes.append(Node(op_type, "", names[0], tuple(inputs), names, attributes))
        return names

    def to_bytes(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
        """Write the graph as an ONNX file.

        Parameters
        ----------
        inputs, outputs : mapping of name to shape
            All are float32; a dynamic side has a name.

        Returns
        -------
        bytes
            The same operators and constants give the same bytes.
        """
        return write_onnx(
            OnnxFile(
                num_bytes=0,
                ir_version=IR_VERSION,
                opsets={"": OPSET},
                metadata={},
                nodes=tuple(self._nodes),
                tensors=tuple(self._constants.values()),
                inputs=_values(inputs),
                outputs=_values(outputs),
                extras=(),
            )
        )


def _values(shapes: Mapping[str, Shape]) -> tuple[Value, ...]:
    return tuple(Value(name, FLOAT32, shape) for name, shape in shapes.items())
