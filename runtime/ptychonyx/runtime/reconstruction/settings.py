"""Our section of a settings file of Ptychodus."""

from __future__ import annotations

import configparser
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..turns import NO_TURN, Turn, pixel_from_text
from .options import boolean, option_from_text
from .recipe import DEFAULT_RECIPE, Recipe, solving_option_from_text

SECTION = "Ptychonyx"
"""Section of Ptychodus' settings file that holds our settings."""
INI_KEYS = {
    "provider": "Provider",
    "batch_size": "BatchSize",
    "scale": "InputScale",
    "patch_weights": "PatchWeights",
    "subpixel": "SubpixelMethod",
    "align_phase": "AlignPatchPhase",
    "residual_patterns": "ResidualPatterns",
}
"""Field of `ReconstructionOptions` -> its key in a settings file."""
SOLVING_KEYS = {
    "passes": "Passes",
    "budget_s": "BudgetInSeconds",
    "noise": "Noise",
    "refine_probe": "RefineProbe",
    "refine_positions": "RefinePositions",
    "refine_intensity": "RefineIntensity",
    "refine_background": "RefineBackground",
    "num_modes": "ProbeModes",
    "keep_probe_scale": "ProbeScale",
    "solver": "SolverNetwork",
    "refine_passes": "RefinePasses",
}
"""Field of `Recipe` or `SolvingOptions` -> its key in a settings file."""
TURN_KEYS = {
    "dc_px": "DirectBeamPixel",
    "flip": "FlipPatterns",
    "swap_positions": "SwapPositions",
    "negate_positions": "NegatePositions",
}
"""Field of `Turn` -> its key in a settings file."""
SOLVER_KEY = SOLVING_KEYS["solver"]
NO_FILE = "."
"""What Ptychodus writes for a file that was not chosen."""
HOST_KEYS = ("UseSeparateProcess",)
"""Keys of our section that concern the plugin inside Ptychodus alone."""

_logger = logging.getLogger(__name__)


def load_recipe(path: Path) -> Recipe:
    r"""Read our section of a settings file of Ptychodus.

    A setting that is missing or empty keeps its default; an unknown key is warned about, as Ptychodus
    does.

    Raises
    ------
    ValueError
        If the file cannot be read, or a value does not fit its key.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "settings.ini")
    ...     _ = path.write_text("[Ptychonyx]\nBatchSize = 16\nPasses = 8\n")
    ...     recipe = load_recipe(path)
    >>> recipe.network.batch_size, recipe.solving.passes
    (16, 8)
    """
    section = _read_section(path)
    keys = INI_KEYS | SOLVING_KEYS
    known = {key.lower(): name for name, key in keys.items()}
    others = {key.lower() for key in (*HOST_KEYS, *TURN_KEYS.values())}
    for key in section:
        if key not in known and key not in others:
            _logger.warning("%s: [%s] has no setting %s; it is ignored.", path, SECTION, key)
    given = {key: text for key, text in section.items() if text not in ("", NO_FILE)}
    values = {known[key]: text for key, text in given.items() if key in known}
    recipe = DEFAULT_RECIPE
    for name, text in values.items():
        parse = option_from_text if name in INI_KEYS else solving_option_from_text
        try:
            recipe = recipe.changed({name: parse(name, text)})
        except ValueError as error:
            raise ValueError(f"{path}: {keys[name]} is wrong: {error}") from None
    return recipe


def load_turn(path: Path) -> Turn:
    r"""Read from our section how patterns and positions of the scan are to be turned.

    Raises
    ------
    ValueError
        If the file cannot be read, or a value does not fit its key.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "settings.ini")
    ...     _ = path.write_text("[Ptychonyx]\nFlipPatterns = ty\nDirectBeamPixel = 31,32\n")
    ...     load_turn(path).options
    '--dc 31,32 --flip ty'
    """
    section = _read_section(path)
    turn = NO_TURN
    for name, key in TURN_KEYS.items():
        text = section.get(key.lower(), "")
        try:
            turn = turn.changed(Turn(**{name: _TURN_PARSERS[name](text)})) if text else turn
        except KeyError:
            raise ValueError(f"{path}: {key} is {text!r}; give true or false.") from None
        except ValueError as error:
            raise ValueError(f"{path}: {key} is wrong: {error}") from None
    return turn


_TURN_PARSERS: dict[str, Callable[[str], Any]] = {
    "dc_px": pixel_from_text,
    "flip": str,
    "swap_positions": boolean,
    "negate_positions": str,
}
"""Field of `Turn` -> what makes its value of a text."""


def _read_section(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ValueError(
            f"{path} cannot be read as a settings file ({error}); correct or remove it."
        ) from error
    if not parser.has_section(SECTION):
        return {}
    return {key: text for key, text in parser[SECTION].items() if key not in parser.defaults()}
