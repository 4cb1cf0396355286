"""What passes leave free in a probe: its rotation among modes, its power, its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEW_MODE_SHARE = 0.05
"""Power of a mode that is added, as a share of the first one's."""

Complex = NDArray[np.complex64]


def orthogonal(modes: Complex) -> Complex:
    """Return modes that give the same patterns, orthogonal and by falling power.

    Incoherent modes may be mixed by any unitary matrix without changing a pattern; this is the one
    mixture whose modes overlap nowhere (Thibault & Menzel, Nature 494, 68 (2013)).

    Examples
    --------
    >>> both = np.array([[[1, 1]], [[1, -1]]], dtype=np.complex64)
    >>> np.abs(np.vdot(*orthogonal(both))).round(6)
    np.float32(0.0)
    """
    flat = modes.reshape(len(modes), -1).astype(np.complex128)
    _, mixing = np.linalg.eigh(flat @ flat.conj().T)
    mixed = (mixing.conj().T @ flat)[::-1].reshape(modes.shape)
    phases = np.exp(-1j * np.angle(mixed.sum(axis=(1, 2))))
    return np.asarray(mixed * phases[:, None, None], np.complex64)


def with_power(modes: Complex, power: float) -> Complex:
    """Return modes scaled together to a total power Σ|P|²."""
    return np.asarray(modes * np.sqrt(power / np.sum(np.square(np.abs(modes)))), np.complex64)


def center_of(intensity: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the center of mass (y, x) of a beam on a periodic window, relative to its middle.

    Examples
    --------
    >>> intensity = np.zeros((8, 8), np.float32)
    >>> intensity[4, 6] = 1
    >>> center_of(intensity).round(6).tolist()
    [0.0, 2.0]
    """
    side = intensity.shape[-1]
    turns = np.exp(2j * np.pi * (np.arange(side) - side // 2) / side)
    sums = np.array([(intensity.sum(axis=1) * turns).sum(), (intensity.sum(axis=0) * turns).sum()])
    return np.asarray(np.angle(sums) * side / (2 * np.pi))


def with_more_modes(modes: Complex, num_modes: int) -> Complex:
    """Return as many modes as asked for: the strongest, or with weak ones added.

    A mode that is added is the first one times a polynomial of the position that none has yet:
    partial coherence and vibration look like that to the first order. It overlaps no other mode.

    Examples
    --------
    >>> with_more_modes(np.ones((1, 4, 4), np.complex64), 3).shape
    (3, 4, 4)
    """
    if num_modes <= len(modes):
        return modes if num_modes == len(modes) else orthogonal(modes)[:num_modes]
    side = modes.shape[-1]
    intensity = np.square(np.abs(modes)).sum(axis=0)
    y, x = np.indices((side, side)) - side // 2 - center_of(intensity)[:, None, None]
    factors = [y, x, y * x, y**2 - x**2, y**2 + x**2, y**3, x**3]
    apart = orthogonal(modes).reshape(len(modes), -1).astype(np.complex128)
    basis = [mode for mode in apart if mode.any()]
    power = float(np.square(np.abs(modes[0])).sum()) * NEW_MODE_SHARE
    added: list[NDArray[np.complex128]] = []
    for factor in factors[: num_modes - len(modes)]:
        mode = modes[0].ravel() * factor.ravel()
        for other in (*basis, *added):
            mode = mode - other * (np.vdot(other, mode) / np.vdot(other, other))
        own = np.vdot(mode, mode).real
        # nothing is left of it where the beam is a single pixel
        added.append(mode * np.sqrt(power / own) if own else mode)
    new = np.stack(added).reshape(-1, side, side)
    return np.concatenate([modes, new.astype(np.complex64)])
