"""The options of a reconstruction: one list for Python, commands, settings files and fleets."""

from __future__ import annotations

import math
from collections.abc import Callable
from configparser import ConfigParser
from dataclasses import dataclass, fields, replace
from typing import Any

from ..model.providers import check_provider
from ..model.tuning import recall
from ..residual import DEFAULT_NUM_PATTERNS

AUTO_BATCH = "auto"
SCALES = ("scan", "trained")
PATCH_WEIGHTS = ("probe", "hann")
SUBPIXEL_METHODS = ("sinc", "nearest")


@dataclass(frozen=True)
class ReconstructionOptions:
    """The options of a reconstruction, apart from scan and model.

    Attributes
    ----------
    provider : str
        Execution provider, one of `providers.provider_names()`. "auto" takes CUDA if it really
        starts, else the CPU.
    batch_size : int or "auto"
        Patterns, or groups of patterns, of one prediction. A group is a pattern and C − 1 of its
        neighbors; every pattern has one, and all C patches of each are stitched. "auto" takes what
        `tuning.benchmark` found best for the model on this machine.
    scale : float, "scan" or "trained"
        Input scale: a number, computed from the scan, or that of the training data.
    patch_weights : "probe" or "hann"
        How much a pixel of a patch counts: as the intensity of the beam there, if the scan or the
        model has a probe, or as a Hann window.
    subpixel : "sinc" or "nearest"
        How a patch is brought to fractional pixels: by a windowed sinc, or not at all.
    align_phase : bool
        Stitch twice; in the second pass each patch is multiplied by the one phase factor that fits
        it to the first result. It costs a second pass, and helps where a network leaves the phases
        of single patterns free.
    residual_patterns : int
        Patterns, spread over the scan, on which the object is tested: how much of them its forward
        model leaves unexplained. 0 tests none; without a probe in scan or model, none can be.

    Raises
    ------
    ValueError
        If a value is out of range, or a word is none of those above.

    Examples
    --------
    >>> ReconstructionOptions(batch_size=0)
    Traceback (most recent call last):
    ...
    ValueError: `batch_size` is 0; give 1 or more, or "auto".
    >>> ReconstructionOptions(patch_weights="gauss")
    Traceback (most recent call last):
    ...
    ValueError: `patch_weights` is 'gauss', expected one of: "probe", "hann".
    """

    provider: str = "auto"
    batch_size: int | str = 64
    scale: float | str = "scan"
    patch_weights: str = "probe"
    subpixel: str = "sinc"
    align_phase: bool = False
    residual_patterns: int = DEFAULT_NUM_PATTERNS

    def __post_init__(self) -> None:
        check_provider(self.provider)
        if self.batch_size != AUTO_BATCH:
            _check_number("batch_size", self.batch_size, 1, 'give 1 or more, or "auto"')
        _check_scale(self.scale)
        _check_word("patch_weights", self.patch_weights, PATCH_WEIGHTS)
        _check_word("subpixel", self.subpixel, SUBPIXEL_METHODS)
        _check_number("residual_patterns", self.residual_patterns, 0, "give 0 or more")

    @property
    def num_passes(self) -> int:
        """How often the scan is gone through."""
        return 2 if self.align_phase else 1

    def tuned(self, model_digest: str) -> ReconstructionOptions:
        """Return these options with "auto" batches replaced by what was measured on this machine.

        With "auto" batches, provider "auto" becomes the one that was measured fastest.

        Parameters
        ----------
        model_digest : str
            sha256 of the model file.

        Raises
        ------
        ValueError
            If the model was never measured here.
        """
        if self.batch_size != AUTO_BATCH:
            return self
        found = recall(model_digest, self.provider)
        if found is None:
            raise ValueError(
                "`batch_size` is 'auto', but this model was never measured on this machine; measure "
                "it once with `ptychonyx benchmark`, or give a number."
            )
        return replace(self, batch_size=found.batch_size, provider=found.provider)


def _check_number(name: str, value: object, least: int, needed: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"`{name}` is {value!r}; {needed}.")


def _check_word(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        quoted = ", ".join(f'"{word}"' for word in words)
        raise ValueError(f"`{name}` is {value!r}, expected one of: {quoted}.")


def _check_scale(scale: float | str) -> None:
    is_number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if scale not in SCALES and not (is_number and 0 < float(scale) < math.inf):
        raise ValueError(
            f'`scale` is {scale!r}; give a positive finite number, "trained", or "scan" to compute '
            "it from the scan."
        )


DEFAULT_OPTIONS = ReconstructionOptions()


def option_from_text(name: str, text: str) -> Any:
    """Return the value of a field of `ReconstructionOptions` that a settings file or a flag gives.

    Returns
    -------
    bool, int, float or str
        As the field has it.

    Raises
    ------
    ValueError
        If the text is no value of the field's kind; the class itself checks its range.

    Examples
    --------
    >>> option_from_text("scale", "0.25"), option_from_text("batch_size", "auto")
    (0.25, 'auto')
    >>> option_from_text("align_phase", "maybe")
    Traceback (most recent call last):
    ...
    ValueError: `align_phase` is 'maybe', expected bool like False.
    """
    default = getattr(DEFAULT_OPTIONS, name)
    try:
        return _PARSERS[name](text)
    except (KeyError, ValueError):
        raise ValueError(
            f"`{name}` is {text!r}, expected {type(default).__name__} like {default!r}."
        ) from None


def boolean(text: str) -> bool:
    """Return what a settings file means by yes, no, true, false, on, off, 1 or 0; else KeyError."""
    return ConfigParser.BOOLEAN_STATES[text.lower()]


def _batch_size(text: str) -> int | str:
    return text if text == AUTO_BATCH else int(text)


def _scale(text: str) -> float | str:
    return text if text in SCALES else float(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "provider": str,
    "batch_size": _batch_size,
    "scale": _scale,
    "patch_weights": str,
    "subpixel": str,
    "align_phase": boolean,
    "residual_patterns": int,
}
"""Field of `ReconstructionOptions` -> what makes its value of a text."""
assert set(_PARSERS) == {field.name for field in fields(ReconstructionOptions)}
