"""From the outputs of a foreign network to complex object patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.model.manifest import OUTPUT_NAME

from .head import NodeWriter

OUTPUTS = {
    "phase": ("phase",),
    "amplitude": ("amplitude",),
    "amplitude-phase": ("amplitude", "phase"),
    "phase-amplitude": ("phase", "amplitude"),
    "real-imaginary": ("real", "imaginary"),
}
"""Word for the outputs of a network -> what each image is, in the order of outputs and channels."""


def parts_of(meaning: str, num_channels: tuple[int, ...]) -> tuple[str, ...]:
    """Return what each image of the outputs is.

    Raises
    ------
    ValueError
        If there is no such word, or the network gives another number of images.

    Examples
    --------
    >>> parts_of("amplitude-phase", (1, 1))
    ('amplitude', 'phase')
    """
    if meaning not in OUTPUTS:
        raise ValueError(f"`output` is {meaning!r}; give one of {', '.join(OUTPUTS)}.")
    parts = OUTPUTS[meaning]
    if sum(num_channels) != len(parts):
        raise ValueError(
            f"`output` is {meaning}, {len(parts)} images, but the network has {len(num_channels)} "
            f"outputs of {list(num_channels)} channels; give what they are: {', '.join(OUTPUTS)}."
        )
    return parts


def tail_of(
    parts: tuple[str, ...],
    outputs: tuple[str, ...],
    *,
    window_px: int,
    patch_px: int,
) -> NodeWriter:
    """Return the nodes from the outputs of a network to the central M×M of complex patches.

    Parameters
    ----------
    parts : tuple of str
        What each image is, as `parts_of` gives it.
    outputs : tuple of str
        Names of the outputs: as many as parts, or one with as many channels.
    window_px, patch_px : int
        n and M.
    """
    tail = NodeWriter("tail")
    start = (window_px - patch_px) // 2
    images = {}
    for place, part in enumerate(parts):
        first = place if len(outputs) == 1 else 0
        limits = np.array([[first, start, start], [first + 1, *[start + patch_px] * 2]])
        rows = (tail.array(row.astype(np.int64)) for row in (*limits, np.array([1, 2, 3])))
        name = outputs[0] if len(outputs) == 1 else outputs[place]
        images[part] = tail.add("Slice", name, *rows)
    real, imaginary = _complex_parts(tail, images)
    axis = tail.array(np.array([-1], dtype=np.int64))
    pairs = [tail.add("Unsqueeze", part, axis) for part in (real, imaginary)]
    tail.add("Concat", *pairs, output=OUTPUT_NAME, axis=-1)
    return tail


def _complex_parts(tail: NodeWriter, images: dict[str, str]) -> tuple[str, str]:
    if "real" in images:
        return images["real"], images["imaginary"]
    if "phase" not in images:
        return images["amplitude"], tail.add("Mul", images["amplitude"], tail.number(0.0))
    real, imaginary = (tail.add(operator, images["phase"]) for operator in ("Cos", "Sin"))
    if "amplitude" not in images:
        return real, imaginary
    return tail.add("Mul", images["amplitude"], real), tail.add(
        "Mul", images["amplitude"], imaginary
    )


def patches_of(
    parts: tuple[str, ...], outputs: list[NDArray[np.float32]], patch_px: int
) -> NDArray[np.complex64]:
    """Compute in NumPy what the tail computes: the other side of the proof.

    Parameters
    ----------
    parts : tuple of str
    outputs : list of float32 array, each of shape (B, channels, n, n)
    patch_px : int

    Returns
    -------
    complex64 array, shape (B, 1, M, M)

    Examples
    --------
    >>> patches_of(("phase",), [np.zeros((1, 1, 4, 4), np.float32)], 2)[0, 0, 0]
    array([1.+0.j, 1.+0.j], dtype=complex64)
    """
    images = np.concatenate(outputs, axis=1).astype(np.float64)
    start = (images.shape[-1] - patch_px) // 2
    central = images[..., start : start + patch_px, start : start + patch_px]
    found = {part: central[:, [place]] for place, part in enumerate(parts)}
    if "real" in found:
        patches = found["real"] + 1j * found["imaginary"]
    else:
        patches = found.get("amplitude", 1.0) * np.exp(1j * found.get("phase", 0.0))
    return patches.astype(np.complex64)
