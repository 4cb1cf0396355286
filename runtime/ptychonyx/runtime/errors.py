"""Errors a caller may want to catch by class; everything else is ValueError or RuntimeError."""


class ScanError(ValueError):
    """A scan file cannot be read, or what it holds is not a usable scan."""


class QuantityError(ScanError):
    """Nobody can tell from the numbers whether patterns are counts or amplitudes; the user must."""


class ManifestError(ValueError):
    """A model file has no manifest, or one that this version cannot trust."""


class ProviderError(RuntimeError):
    """An execution provider was asked for by name and did not start."""


class TrainingInterruptedError(RuntimeError):
    """Training was asked to stop; whole epochs are kept and the run can be resumed."""


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
