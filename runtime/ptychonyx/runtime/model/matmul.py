"""The yardstick of a machine: one large matrix product, computed by onnxruntime itself.

The model file is a few dozen bytes of protobuf, written here; field numbers are from onnx.proto3.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np

from .onnx_file import FLOAT32

SIDE = 2048


class MatrixProduct:
    """Multiply two float32 matrices of 2048×2048 on a number of threads.

    Parameters
    ----------
    num_threads : int
    """

    OPERATIONS = 2 * SIDE**3

    def __init__(self, num_threads: int) -> None:
        ort = import_module("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 4
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = ort.InferenceSession(
            matmul_model(SIDE), sess_options=options, providers=["CPUExecutionProvider"]
        )
        rng = np.random.default_rng(0)
        self._feed = {name: rng.random((SIDE, SIDE), dtype=np.float32) for name in ("a", "b")}

    def run(self) -> object:
        """Compute the product once."""
        return self._session.run(None, self._feed)


def matmul_model(side: int) -> bytes:
    """Return an ONNX file whose output `c` is the product of its inputs `a` and `b`.

    Examples
    --------
    >>> len(matmul_model(2048))
    104
    """
    node = _text(1, "a") + _text(1, "b") + _text(2, "c") + _text(4, "MatMul")
    dim = _message(1, _number(1, side))
    tensor = _message(1, _number(1, FLOAT32) + _message(2, dim + dim))
    graph = _message(1, node) + _text(2, "matmul")
    for field, name in ((11, "a"), (11, "b"), (12, "c")):
        graph += _message(field, _text(1, name) + _message(2, tensor))
    return _number(1, 8) + _message(7, graph) + _message(8, _number(2, 18))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
