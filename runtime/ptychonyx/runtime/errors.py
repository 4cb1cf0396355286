"""Errors a caller may want to catch by class; everything else is ValueError or RuntimeError."""

from __future__ import annotations

from pathlib import Path


class ScanError(ValueError):
    """A scan file cannot be read, or what it holds is not a usable scan."""


class UnknownFormatError(ScanError):
    """A file is of no format that scans, objects or probes are read from."""


class OverlapError(ScanError):
    """The beams of a scan hardly overlap, so that nothing ties its patterns together."""


class ImplausibleError(ScanError):
    """What a scan holds can hardly be right, and would give a wrong result.

    Parameters
    ----------
    message : str
    names : tuple of str
        Names of the findings, which may be accepted.
    """

    def __init__(self, message: str, names: tuple[str, ...] = ()) -> None:
        self.message, self.names = message, names
        super().__init__(message)

    def __reduce__(self) -> tuple[type[ImplausibleError], tuple[str, tuple[str, ...]]]:
        """Let the error travel between processes."""
        return ImplausibleError, (self.message, self.names)


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


class AxisError(ScanError):
    """The numbers do not tell which axis counts patterns; the user must.

    Parameters
    ----------
    path : Path
        The scan.
    name : str
        The array.
    shape : tuple of int
        Its shape, with a first and a last axis as long as there are positions.
    """

    CHOICES = ("first", "last")

    def __init__(self, path: Path, name: str, shape: tuple[int, ...]) -> None:
        self.path, self.name, self.shape = path, name, shape
        super().__init__(
            f"{path}: `{name}` has shape {shape}, so its first axis may count the patterns, or its "
            "last; `pattern_axis` must say which."
        )

    def __reduce__(self) -> tuple[type[AxisError], tuple[Path, str, tuple[int, ...]]]:
        """Let the error travel between processes."""
        return AxisError, (self.path, self.name, self.shape)


class NotFiniteError(ValueError):
    """Patches or an object hold values that are not finite numbers.

    Parameters
    ----------
    message : str
    indexes : tuple of int
        The patches or patterns.
    """

    def __init__(self, message: str, indexes: tuple[int, ...] = ()) -> None:
        self.message, self.indexes = message, indexes
        super().__init__(message)

    def __reduce__(self) -> tuple[type[NotFiniteError], tuple[str, tuple[int, ...]]]:
        """Let the error travel between processes."""
        return NotFiniteError, (self.message, self.indexes)


class ManifestError(ValueError):
    """A model file has no manifest, or one that this version cannot trust."""


class ProviderError(RuntimeError):
    """An execution provider was asked for by name and did not start."""


class TrainingInterruptedError(RuntimeError):
    """Training was asked to stop; whole epochs are kept and the run can be resumed."""
