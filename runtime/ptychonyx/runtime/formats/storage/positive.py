"""Numbers of a file that only say something if they are positive."""

from __future__ import annotations

import logging
import math
from pathlib import Path

_logger = logging.getLogger(__name__)


def positive_or_unknown(value: float, name: str, path: Path) -> float | None:
    """Return a positive number; any other one is taken as not known, and that is said.

    Examples
    --------
    >>> positive_or_unknown(8.8e3, "photon_energy_eV", Path("scan.npz"))
    8800.0
    """
    if 0 < value < math.inf:
        return value
    _logger.warning(
        "`%s` of %s is %g; only a positive number says something, so it is taken as not known.",
        name,
        path,
        value,
    )
    return None
