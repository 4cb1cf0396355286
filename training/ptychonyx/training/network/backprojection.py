"""A pattern taken back to the object through the probe, as if the object were vacuum.

The detector keeps the amplitude of each pixel and loses its phase. With the phase that the probe
alone would have there, the pattern is propagated back to the object's plane; divided by the probe it
is a first, blurred sight of the object with its twin image: a step of the ptychographic iterative engine
(Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009)) from a flat start. It is linear in the
measured amplitude and puts everything in its place, so that a network need not learn to transform.

    z = Σ_m b_m · F⁻¹ ifftshift(a · u_m)
    u_m = p_m / (sqrt(Σ|p|²) + ε₁),  p_m = fftshift F(P_m),  b_m = conj(P_m) / (Σ|P|² + ε₂)

Here is the definition, in NumPy float64; each backend and the exported graph have their own twin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPECTRUM, OBJECT = "backprojection.spectrum", "backprojection.object"
"""Names of the constants u and b among a network's weights; they are never trained."""
DARK_SHARE = 1e-3
"""ε₁, as a share of the probe's largest amplitude on the detector: where it is dark, its phase is noise."""
UNLIT_SHARE = 0.05
"""ε₂, as a share of the probe's largest intensity on the object: unlit pixels stay near zero."""


def backprojection_constants(
    probe: NDArray[np.complexfloating], scale: float
) -> dict[str, NDArray[np.float32]]:
    """Return u and b of a probe, for amplitudes that were multiplied by `scale`.

    Parameters
    ----------
    probe : complex array, shape (modes, N, N)
        The probe in sqrt(counts).
    scale : float
        Input scale of the scan that the probe belongs to.

    Returns
    -------
    dict of float32 arrays, shape (modes, 2, N, N)
        Real and imaginary parts.

    Examples
    --------
    >>> constants = backprojection_constants(np.ones((3, 16, 16), dtype=complex), 0.1)
    >>> {name: array.shape for name, array in constants.items()}
    {'backprojection.spectrum': (3, 2, 16, 16), 'backprojection.object': (3, 2, 16, 16)}
    """
    scaled = scale * probe.astype(np.complex128)
    far_field = np.fft.fftshift(np.fft.fft2(scaled, norm="ortho"), axes=(-2, -1))
    amplitude = np.sqrt(np.sum(np.abs(far_field) ** 2, axis=0))
    intensity = np.sum(np.abs(scaled) ** 2, axis=0)
    return {
        SPECTRUM: _as_parts(far_field / (amplitude + DARK_SHARE * amplitude.max())),
        OBJECT: _as_parts(scaled.conj() / (intensity + UNLIT_SHARE * intensity.max())),
    }


def backproject(
    amplitude: NDArray[np.floating], spectrum: NDArray[np.floating], object_: NDArray[np.floating]
) -> NDArray[np.complex128]:
    """Take amplitudes (…, N, N) back to the object: the oracle of both backends.

    Examples
    --------
    >>> probe = np.exp(-np.hypot(*np.mgrid[-8:8, -8:8]) ** 2 / 9).astype(complex)[None]
    >>> amplitude = np.abs(np.fft.fftshift(np.fft.fft2(probe[0], norm="ortho")))
    >>> constants = backprojection_constants(probe, 1.0)
    >>> seen = backproject(amplitude, constants[SPECTRUM], constants[OBJECT])
    >>> abs(seen[8, [0, 4, 8]]).round(2)
    array([0.  , 0.36, 0.95])
    """
    far_field, inverse = _as_complex(spectrum), _as_complex(object_)
    waves = np.fft.ifftshift(amplitude[..., None, :, :] * far_field, axes=(-2, -1))
    return np.asarray(np.sum(np.fft.ifft2(waves, norm="ortho") * inverse, axis=-3))


def _as_parts(array: NDArray[np.complex128]) -> NDArray[np.float32]:
    return np.stack([array.real, array.imag], axis=1).astype(np.float32)


def _as_complex(parts: NDArray[np.floating]) -> NDArray[np.complex128]:
    return parts[:, 0] + 1j * parts[:, 1].astype(np.float64)
