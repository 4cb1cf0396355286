"""Errors a caller may want to catch by class; everything else is ValueError or RuntimeError."""

from __future__ import annotations

from pathlib import Path


class ScanError(ValueError):
    """A scan file cannot be read, or what it holds is not a usable scan."""


class QuantityError(ScanError):
    """The numbers do not tell whether patterns are counts or amplitudes; the user must.

    Parameters
    ----------
    path : Path
        The scan.
    largest : float
        Largest of the sampled values, all of which are whole numbers.
    """

    CHOICES = ("counts", "amplitude")

    def __init__(self, path: Path, largest: float) -> None:
        self.path, self.largest = path, largest
        super().__init__(
            f"{path}: every sampled value is a whole number (largest {largest:g}), so the patterns "
            "may be counts, or amplitudes that were rounded; `quantity` must say which."
        )

    def __reduce__(self) -> tuple[type[QuantityError], tuple[Path, float]]:
        """Let the error travel between processes."""
        return QuantityError, (self.path, self.largest)


class ManifestError(ValueError):
    """A model file has no manifest, or one that this version cannot trust."""


class ProviderError(RuntimeError):
    """An execution provider was asked for by name and did not start."""


class PrecisionLossError(RuntimeError):
    """A model of fewer bits reconstructs something else than the float32 model it comes from."""


class ExportMismatchError(RuntimeError):
    """An exported model computes something else than the network it came from.

    Parameters
    ----------
    output_name : str
        The model output that differs.
    largest_difference, tolerance : float
        Largest absolute difference seen, and the largest allowed.
    """

    def __init__(self, output_name: str, largest_difference: float, tolerance: float) -> None:
        self.output_name = output_name
        self.largest_difference = largest_difference
        self.tolerance = tolerance
        super().__init__(
            f"`{output_name}` of the exported model differs from the native network by "
            f"{largest_difference:.3g}, but at most {tolerance:.3g} is allowed; "
            "no model file was written."
        )
