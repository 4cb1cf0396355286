"""What may be found wrong with a scan or a result: its name, the evidence, and the cure."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..errors import ImplausibleError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """Something in a scan or a result that can hardly be right.

    Attributes
    ----------
    name : str
        Stands for its kind: what `--accept` takes.
    evidence : str
        What was seen, with numbers.
    cure : str
        What to do about it, or what was done.
    is_wrong : bool
        Whether the result would be wrong, so that work is refused; else it is only odd.

    Examples
    --------
    >>> print(Finding("photon-energy", "The photon energy is 8.8 eV", "give it in eV", False))
    The photon energy is 8.8 eV: give it in eV (photon-energy).
    """

    name: str
    evidence: str
    cure: str
    is_wrong: bool

    def __str__(self) -> str:
        return f"{self.evidence}: {self.cure} ({self.name})."


def refuse_wrong(findings: Iterable[Finding], what: str, accept: Collection[str] = ()) -> None:
    """Refuse to go on with what would give a wrong result, unless it is accepted.

    Parameters
    ----------
    findings : iterable of Finding
    what : str
        The scan, as errors name it.
    accept : collection of str
        Names of findings to go on with.

    Raises
    ------
    ImplausibleError
        Lists what is wrong, with evidence and cure.

    Examples
    --------
    >>> odd = Finding("positions-equal", "All 3 positions are equal", "check their unit", True)
    >>> refuse_wrong([odd], "scan.npz", accept=["positions-equal"])
    """
    wrong = tuple(each for each in findings if each.is_wrong and each.name not in accept)
    if not wrong:
        return
    named = " ".join(str(each) for each in wrong)
    raise ImplausibleError(
        f"{what}: {named} A scan that can be right is needed: correct it, or accept "
        f"{', '.join(dict.fromkeys(each.name for each in wrong))} if it is right all the same.",
        tuple(each.name for each in wrong),
    )


def log_findings(findings: Iterable[Finding], what: str, accept: Collection[str] = ()) -> None:
    """Warn of each finding, apart from those that are accepted."""
    for finding in findings:
        if finding.name not in accept:
            _logger.warning("%s: %s", what, finding)
