"""A pattern taken back to the object; `ptychonyx.training.network.backprojection` is the oracle."""

from __future__ import annotations

import torch
from torch import Tensor


def backproject(amplitude: Tensor, spectrum: Tensor, object_: Tensor) -> Tensor:
    """Take amplitudes (…, N, N) back to the object.

    Parameters
    ----------
    amplitude : tensor, shape (…, N, N)
        Scaled.
    spectrum, object_ : tensors, shape (modes, 2, N, N)
        Real and imaginary parts of the constants.

    Returns
    -------
    complex tensor, shape (…, N, N)
    """
    waves = amplitude[..., None, :, :] * torch.complex(spectrum[:, 0], spectrum[:, 1])
    waves = torch.fft.ifft2(torch.fft.ifftshift(waves, dim=(-2, -1)), norm="ortho")
    return (waves * torch.complex(object_[:, 0], object_[:, 1])).sum(dim=-3)
