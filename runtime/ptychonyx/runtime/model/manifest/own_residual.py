"""What a network left unexplained of the patterns it was trained and validated on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .checks import FieldError, Rule, check_fields, or_none, values_of, whole

FIELD = "own_residual"
LEAST_OF_NOISE = 0.1
"""What is left beyond photon noise is known to this share of the noise, at best."""


@dataclass(frozen=True)
class OwnResidual:
    """Hold the residuals of a network on its own data, measured at the end of the training.

    Attributes
    ----------
    training : float
        Share of the measured amplitude of its training patterns that object and probe leave
        unexplained, as `Residual.total`.
    training_noise : float
        What photon noise alone would have left.
    validation, validation_noise : float or None
        The same of patterns that were held back; None if none were.
    num_patterns : int
        Patterns that were looked at.

    Raises
    ------
    FieldError
        If a number is negative or not finite.

    Examples
    --------
    >>> own = OwnResidual(0.012, 0.002, 0.023, 0.002, num_patterns=256)
    >>> round(own.beyond_noise, 6)
    0.021
    """

    training: float
    training_noise: float
    validation: float | None
    validation_noise: float | None
    num_patterns: int

    def __post_init__(self) -> None:
        check_fields(self, RULES)
        if (self.validation is None) != (self.validation_noise is None):
            raise FieldError("validation_noise", repr(self.validation_noise), "both or neither")

    @property
    def beyond_noise(self) -> float:
        """The larger of both, less photon noise: what another scan of its kind may leave."""
        excess = _beyond(self.training, self.training_noise)
        if self.validation is None or self.validation_noise is None:
            return excess
        return max(excess, _beyond(self.validation, self.validation_noise))

    def to_values(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_values(cls, values: object) -> OwnResidual | None:
        """Read what `to_values` returned; None stays None.

        Raises
        ------
        FieldError
            If it is no object of these fields.

        Examples
        --------
        >>> OwnResidual.from_values({"training": 0.1})
        Traceback (most recent call last):
        ...
        ptychonyx.runtime.model.manifest.checks.FieldError: `own_residual.training_noise` is missing, \
expected every field of the schema.
        """
        if values is None:
            return None
        if not isinstance(values, Mapping):
            raise FieldError(FIELD, type(values).__name__, "an object of five numbers, or null")
        return cls(**values_of(cls, values, f"{FIELD}."))


def _beyond(residual: float, noise: float) -> float:
    return max(residual - noise, LEAST_OF_NOISE * noise)


def _is_share(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf  # type: ignore[operator]


SHARE = Rule(_is_share, "a finite number from 0")
RULES: dict[str, Rule] = {
    "training": SHARE,
    "training_noise": SHARE,
    "validation": or_none(SHARE),
    "validation_noise": or_none(SHARE),
    "num_patterns": whole(1),
}
