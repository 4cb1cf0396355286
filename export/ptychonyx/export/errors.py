"""Errors of an export that a caller may want to catch by class."""


class PrecisionLossError(RuntimeError):
    """A model of fewer bits reconstructs another object than the float32 model it is derived from."""


class ExportMismatchError(RuntimeError):
    """An exported model computes something else than the network it comes from.

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
