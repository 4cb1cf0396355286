"""The yardstick of a machine: one large matrix product, computed by onnxruntime itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .start import import_onnxruntime

SIDE = 2048
MODEL = Path(__file__).with_name("matmul.onnx")
"""An ONNX file of one operator: `c` is the product of the square matrices `a` and `b`."""


class MatrixProduct:
    """Multiply two square float32 matrices on a number of threads of the CPU.

    Parameters
    ----------
    num_threads : int
    side : int
        Side of the matrices.

    Attributes
    ----------
    num_operations : int
        Multiplications and additions of one product.
    """

    def __init__(self, num_threads: int, *, side: int = SIDE) -> None:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 4
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = ort.InferenceSession(
            MODEL.read_bytes(), sess_options=options, providers=["CPUExecutionProvider"]
        )
        rng = np.random.default_rng(0)
        self._feed = {name: rng.random((side, side), dtype=np.float32) for name in ("a", "b")}
        self.num_operations = 2 * side**3

    def run(self) -> object:
        """Compute the product once."""
        return self._session.run(None, self._feed)
