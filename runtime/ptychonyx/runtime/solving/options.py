"""The options of solving a scan by passes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ..model.providers import check_provider

Noise = Literal["amplitude", "unbiased", "poisson"]
NOISES: tuple[Noise, ...] = get_args(Noise)
Freedom = Literal["rigid", "affine", "free"]
FREEDOMS: tuple[Freedom, ...] = get_args(Freedom)
AUTO = "auto"
SHIPPED_SOLVER, NO_SOLVER = "shipped", "none"
"""Words for a network between passes; anything else is the path of its model file."""
MAX_PASSES = 60
"""Most passes of an automatic stop."""
MAX_MODES = 8


@dataclass(frozen=True)
class SolvingOptions:
    """The options of solving a scan, apart from what it starts from.

    Attributes
    ----------
    passes : int or "auto"
        How often to go through the patterns. "auto" makes as many as pixels bear that are held
        back, at most `MAX_PASSES`; with a budget it makes these, or as many as the budget allows.
    budget_s : float or None
        Begin no pass that would end later than this many seconds after the start; at least one
        must fit.
    noise : "amplitude", "unbiased" or "poisson"
        Whether predicted amplitudes are compared with the roots of counts; or the mean roots that
        photon noise would leave of the prediction, which are smaller where counts are few; or the
        counts themselves, so that weak pixels count more, as photon noise has it.
    refine_probe : bool
        Whether the probe is corrected, too.
    refine_positions : "rigid", "affine", "free" or None
        How the positions are corrected, too: by one turn about their middle; by a turn, stretch and
        shear; or each by itself, without a mean, stretch and shear of all. None: not at all.
    refine_intensity : bool
        Whether the brightness of each pattern is fitted, too, for a beam that fluctuates.
    refine_background : bool
        Whether light that is the same in all patterns, but no part of the beam, is fitted, too.
    num_modes : int, "auto" or None
        Incoherent modes of the probe; "auto": as many as help, which refines the probe; None: as
        many as the probe has, or "auto" where there is none.
    keep_probe_scale : bool
        Whether a probe that carries more power than the patterns, within bounds, is taken as it is,
        so that the object absorbs the rest. Else its power is fitted to the counts.
    residual_patterns : int
        Patterns, spread over the scan, on which the object is tested; 0 tests none.
    solver : str
        Network that corrects the object between passes where photons or positions are few:
        "shipped" for that of this package, "none", or the path of a model file.
    provider : str
        Execution provider that compares patterns, one of `providers.provider_names()`. "auto" leaves
        that to NumPy and SciPy on the CPU; any other computes a graph of the same formulas.
    seed : int
        Decides the batches of the passes.

    Raises
    ------
    ValueError
        If a value is out of range, or a word is none of those above.

    Examples
    --------
    >>> SolvingOptions(passes=0)
    Traceback (most recent call last):
    ...
    ValueError: `passes` is 0; give 1 or more, or "auto".
    """

    passes: int | str = AUTO
    budget_s: float | None = None
    noise: Noise = "amplitude"
    refine_probe: bool = False
    refine_positions: Freedom | None = None
    refine_intensity: bool = False
    refine_background: bool = False
    num_modes: int | str | None = None
    keep_probe_scale: bool = True
    residual_patterns: int = 256
    solver: str = SHIPPED_SOLVER
    provider: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_provider(self.provider)
        if self.passes != AUTO and not _is_whole(self.passes, 1):
            raise ValueError(f'`passes` is {self.passes!r}; give 1 or more, or "auto".')
        if self.budget_s is not None and not 0 < self.budget_s < float("inf"):
            raise ValueError(f"`budget_s` is {self.budget_s!r}; give a positive number of seconds.")
        if self.noise not in NOISES:
            raise ValueError(f"`noise` is {self.noise!r}, expected one of: {', '.join(NOISES)}.")
        if self.refine_positions not in (None, *FREEDOMS):
            raise ValueError(
                f"`refine_positions` is {self.refine_positions!r}, expected None or one of: "
                '"rigid", "affine", "free".'
            )
        modes = self.num_modes
        is_number = _is_whole(modes, 1) and modes in range(1, MAX_MODES + 1)
        if modes not in (None, AUTO) and not is_number:
            raise ValueError(
                f'`num_modes` is {self.num_modes!r}; give 1 to {MAX_MODES}, or "auto".'
            )
        if not _is_whole(self.residual_patterns, 0):
            raise ValueError(f"`residual_patterns` is {self.residual_patterns!r}; give 0 or more.")
        if not isinstance(self.solver, str) or not self.solver:
            raise ValueError(
                f'`solver` is {self.solver!r}; give "shipped", "none" or the path of a model file.'
            )
        if not _is_whole(self.seed, 0):
            raise ValueError(f"`seed` is {self.seed!r}; give 0 or more.")

    @property
    def solver_file(self) -> Path | None:
        """Model file of the network between passes; None if it is the shipped one, or none."""
        return None if self.solver in (SHIPPED_SOLVER, NO_SOLVER) else Path(self.solver)


def _is_whole(value: object, least: int) -> bool:
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_number and int(value) >= least  # type: ignore[call-overload]


DEFAULT_SOLVING = SolvingOptions()
