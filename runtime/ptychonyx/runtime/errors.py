"""Errors a caller may want to catch by class; everything else is ValueError or RuntimeError."""


class ScanError(ValueError):
    """A scan file cannot be read, or what it holds is not a usable scan."""


class QuantityError(ScanError):
    """Nobody can tell from the numbers whether patterns are counts or amplitudes; the user must."""


class ManifestError(ValueError):
    """A model file has no manifest, or one that this version cannot trust."""


class ProviderError(RuntimeError):
    """An execution provider was asked for by name and did not start."""
