"""Backend-neutral weights: one name and one layout for every parameter.

Every convolution has `<name>.weight`, float32 (out, in, 3, 3), and `<name>.bias`, float32 (out,).
PyTorch uses this layout itself; the TensorFlow network transposes on the way in and out. A network
that sees back-projections also has their constants, which belong to one probe and are not trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.files import write_atomically

from .backprojection import SPECTRUM
from .layers import LayeredArchitecture

WEIGHTS_FILE = "weights.safetensors"
"""Name of the best weights in a run folder."""
Weights = dict[str, NDArray[np.float32]]


def draw_weights(
    architecture: LayeredArchitecture,
    rng: np.random.Generator,
    constants: Mapping[str, NDArray[np.float32]] | None = None,
) -> Weights:
    """Draw the first weights: Glorot uniform times the gain of each convolution, zero bias.

    Both backends load these, so a seed gives the same network in either.

    Parameters
    ----------
    architecture : Architecture or SolverArchitecture
        Decides names, shapes and gains.
    rng : numpy.random.Generator
        Source of the numbers.
    constants : mapping of str to float32 array, optional
        Constants that are not drawn: `backprojection_constants`, for a network that sees back-projections.

    Returns
    -------
    dict of float32 arrays
        In the order of `architecture.convolutions`.

    References
    ----------
    Glorot and Bengio, AISTATS 2010: limit sqrt(6 / (fan_in + fan_out)).

    Examples
    --------
    >>> from ptychonyx.training.network.architecture import Architecture
    >>> weights = draw_weights(Architecture(window_px=64), np.random.default_rng(0))
    >>> weights["encoder.0.conv1.weight"].shape
    (32, 1, 3, 3)
    """
    weights: Weights = {}
    for conv in architecture.convolutions():
        limit = conv.gain * np.sqrt(6 / (9 * (conv.num_in + conv.num_out)))
        kernel = rng.uniform(-limit, limit, size=(conv.num_out, conv.num_in, 3, 3))
        weights[f"{conv.name}.weight"] = kernel.astype(np.float32)
        weights[f"{conv.name}.bias"] = np.zeros(conv.num_out, dtype=np.float32)
    weights |= constants or {}
    check_weights(weights, architecture)
    return weights


def check_weights(
    weights: Mapping[str, NDArray[np.float32]], architecture: LayeredArchitecture
) -> None:
    """Make sure that `weights` are the weights of `architecture`.

    Raises
    ------
    ValueError
        Naming the first parameter that is missing, too many, or of another shape.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for conv in architecture.convolutions():
        shapes[f"{conv.name}.weight"] = (conv.num_out, conv.num_in, 3, 3)
        shapes[f"{conv.name}.bias"] = (conv.num_out,)
    shapes |= architecture.constant_shapes(len(weights[SPECTRUM]) if SPECTRUM in weights else 1)
    for name in [*shapes, *weights]:
        given = weights[name].shape if name in weights else "missing"
        needed = shapes.get(name, "no such parameter")
        if given != needed:
            raise ValueError(
                f"Parameter `{name}` of the weights: {given}, but the network "
                f"({architecture.summary}) needs: {needed}. Use the sizes of the run that the weights "
                "came from."
            )


def save_weights(weights: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Write weights as safetensors, whole or not at all."""
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    write_atomically(path, lambda file: file.write(data))


def load_weights(path: Path) -> Weights:
    """Read weights from a run folder or a `.safetensors` file.

    Raises
    ------
    ValueError
        If there is no such file, or it is not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"There are no weights at {file}; give a run folder or a .safetensors file."
        )
    try:
        weights: Weights = load_file(file)
    except SafetensorError as error:
        raise ValueError(
            f"{file} is not a safetensors file ({error}); give the {WEIGHTS_FILE} of a run."
        ) from None
    return weights


def digest_weights(weights: Mapping[str, NDArray[np.float32]]) -> str:
    """Return the sha256 over names and values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights[name], dtype="<f4").tobytes())
    return digest.hexdigest()
