"""A session on a GPU: buffers that stay there, and only a few sizes of batches."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .manifest import INPUT_NAMES, OUTPUT_NAME

BATCH_SIZES = (1, 4, 16, 64, 256)
"""Sizes a GPU sees. A new size costs it a search for the fastest kernels, or a new engine."""


class BoundSession:
    """Run a session through buffers of a device, one set for each size of `BATCH_SIZES`.

    Parameters
    ----------
    ort : module
        onnxruntime.
    session : InferenceSession
    device : str
        onnxruntime's name of the device: "cuda", or "cpu".
    """

    def __init__(self, ort: ModuleType, session: Any, device: str) -> None:
        self._ort, self._session, self._device = ort, session, device
        self._buffers: dict[int, tuple[Any, Any, Any]] = {}

    def run(self, amplitude: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        """Return the output for a batch of any size.

        The batch is cut into the sizes above; the last piece is filled up with zeros, whose results
        are dropped.

        Parameters
        ----------
        amplitude : float32 array, shape (B, C, N, N)
        scale : float

        Returns
        -------
        float32 array, shape (B, C, M, M, 2)
        """
        pieces, largest = [], BATCH_SIZES[-1]
        for start in range(0, len(amplitude), largest):
            piece = amplitude[start : start + largest]
            pieces.append(self._run_padded(piece, scale)[: len(piece)])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _run_padded(self, piece: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        size = padded_size(len(piece))
        if size != len(piece):
            padded = np.zeros((size, *piece.shape[1:]), dtype=np.float32)
            padded[: len(piece)] = piece
            piece = padded
        piece = np.ascontiguousarray(piece)
        scales = np.array([scale], dtype=np.float32)
        if size not in self._buffers:
            self._buffers[size] = self._bind(piece, scales)
        binding, on_device, scale_on_device = self._buffers[size]
        on_device.update_inplace(piece)
        scale_on_device.update_inplace(scales)
        binding.synchronize_inputs()
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        result: NDArray[np.float32] = binding.copy_outputs_to_cpu()[0]
        return result

    def _bind(
        self, piece: NDArray[np.float32], scales: NDArray[np.float32]
    ) -> tuple[Any, Any, Any]:
        values = [
            self._ort.OrtValue.ortvalue_from_numpy(array, self._device, 0)
            for array in (piece, scales)
        ]
        binding = self._session.io_binding()
        for name, value in zip(INPUT_NAMES, values, strict=True):
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(OUTPUT_NAME, self._device)
        return binding, values[0], values[1]


def padded_size(num_samples: int) -> int:
    """Return the smallest size of `BATCH_SIZES` that holds so many samples.

    Examples
    --------
    >>> padded_size(1), padded_size(17), padded_size(64)
    (1, 64, 64)
    """
    return next(size for size in BATCH_SIZES if size >= num_samples)
