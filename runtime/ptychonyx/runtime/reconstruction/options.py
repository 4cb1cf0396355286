"""How a scan is reconstructed where nobody types: a settings.ini, or Ptychodus' settings page."""

from __future__ import annotations

import configparser
import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..model.providers import check_provider
from ..stitching.mosaic import StitchOptions

_logger = logging.getLogger(__name__)

SECTION = "Ptychonyx"
"""Of Ptychodus' settings file; the one name for all of ours."""


@dataclass(frozen=True)
class Options:
    """What may be chosen about a reconstruction, apart from scan and model.

    Attributes
    ----------
    provider : str
        Execution provider, one of `providers.provider_names()`.
    batch_size : int
        Patterns of one prediction.
    weights, subpixel, align_phase
        See `StitchOptions`.
    trained_scale : bool
        Take the input scale of the training data instead of computing it from the scan.
    separate_process : bool
        Only for Ptychodus: run in a process of its own on the CPU, too.

    Examples
    --------
    >>> Options(batch_size=0)
    Traceback (most recent call last):
    ...
    ValueError: `batch_size` is 0; give 1 or more.
    """

    provider: str = "auto"
    batch_size: int = 64
    weights: str = "probe"
    subpixel: str = "sinc"
    align_phase: bool = False
    trained_scale: bool = False
    separate_process: bool = False

    def __post_init__(self) -> None:
        check_provider(self.provider)
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` is {self.batch_size}; give 1 or more.")
        self.stitching()

    def stitching(self) -> StitchOptions:
        """Return what concerns the stitching."""
        return StitchOptions(self.weights, self.subpixel, self.align_phase)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `reconstruct` and `reconstruct_in_steps`."""
        return {
            "batch_size": self.batch_size,
            "scale": "trained" if self.trained_scale else None,
            "stitching": self.stitching(),
        }


INI_KEYS = {
    "provider": "Provider",
    "batch_size": "BatchSize",
    "weights": "PatchWeights",
    "subpixel": "SubpixelMethod",
    "align_phase": "AlignPatchPhase",
    "trained_scale": "UseTrainedScale",
    "separate_process": "UseSeparateProcess",
}
"""Field of `Options` -> its key in a settings file."""


def options_from_ini(path: Path) -> Options:
    r"""Read our section of a settings file of Ptychodus.

    What is not there keeps its default; a key that nobody knows is warned about, as Ptychodus does.

    Raises
    ------
    ValueError
        If the file cannot be read, or a value does not fit its key.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "settings.ini")
    ...     _ = path.write_text("[Ptychonyx]\nBatchSize = 16\nUseTrainedScale = True\n")
    ...     options_from_ini(path).arguments()["batch_size"]
    16
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ValueError(
            f"{path} cannot be read as a settings file ({error}); correct or remove it."
        ) from error
    if not parser.has_section(SECTION):
        return Options()
    section = parser[SECTION]
    known = {key.lower() for key in INI_KEYS.values()}
    for key in section:
        if key not in known and key not in parser.defaults():
            _logger.warning("%s: [%s] has no setting %s; it is ignored.", path, SECTION, key)
    readers: dict[type, Any] = {bool: section.getboolean, int: section.getint, str: section.get}
    values = {}
    for field in fields(Options):
        key, kind = INI_KEYS[field.name], type(field.default)
        if key in section:
            try:
                values[field.name] = readers[kind](key)
            except ValueError:
                raise ValueError(
                    f"{path}: {key} is {section[key]!r}, expected {kind.__name__} like "
                    f"{field.default!r}; correct it."
                ) from None
    return Options(**values)
