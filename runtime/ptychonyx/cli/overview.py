"""One line for each of several files: what it is, how large, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .options.scan_choices import orientation_findings
from .options.shared import Said, load_asked

if TYPE_CHECKING:
    from .options.scan_choices import ScanChoices

MAGIC = (b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x93NUMPY", b"MATLAB 5.0 MAT-file")
"""First bytes of files that may be scans or products; what else lies in a folder is passed over."""
SCAN_FILES = ("diffraction.h5", "product.h5")
"""A folder with both is one scan."""


@dataclass(frozen=True)
class Line:
    """What is said of one file.

    Attributes
    ----------
    file : str
    what : str
        Kind of file.
    num_patterns, window_px : int or None
    counts_per_pattern, step_px : float or None
    findings : tuple of str
        Names of what was found.
    reason : str
        Why it could not be read; "" if it could.
    is_wrong : bool
        Whether a finding makes the result wrong, or the file could not be read.
    """

    file: str
    what: str
    num_patterns: int | None = None
    window_px: int | None = None
    counts_per_pattern: float | None = None
    step_px: float | None = None
    findings: tuple[str, ...] = ()
    reason: str = ""
    is_wrong: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as texts."""
        return (
            Path(self.file).name,
            self.what,
            _text(self.num_patterns, "d"),
            _text(self.window_px, "d"),
            _text(self.counts_per_pattern, ".4g"),
            _text(self.step_px, ".2f", " px"),
            ", ".join(self.findings) or ("see below" if self.reason else ""),
        )


def files_within(paths: Sequence[Path]) -> list[Path] | None:
    """Return the files that several paths stand for, or None if they are a single scan or file.

    Those of a folder are the scans, products and models in it.

    Raises
    ------
    ValueError
        If a folder holds none.
    """
    if len(paths) == 1 and (not paths[0].is_dir() or _is_scan_folder(paths[0])):
        return None
    found: list[Path] = []
    for path in paths:
        if not path.is_dir() or _is_scan_folder(path):
            found.append(path)
            continue
        inside = [each for each in sorted(path.iterdir()) if _may_be_read(each)]
        if not inside:
            raise ValueError(
                f"The folder {path} holds no scan, product or model; give a folder with some, or a "
                "file."
            )
        found += inside
    return found


def overview(
    file: Path,
    said: Said,
    choices: ScanChoices,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Line:
    """Return the line of one file; a scan's patterns are read once.

    Parameters
    ----------
    file : Path
    said : tuple
        As `load_asked` takes it after the path.
    choices : ScanChoices
    progress : callable, optional
        Called with the number of patterns read, and of all in this file.
    """
    try:
        if file.suffix.lower() == ".onnx":
            return _of_model(file)
        return _of_product(file) or _of_scan(file, said, choices, progress)
    except (ValueError, OSError, RuntimeError) as error:
        parts = "" if _is_undecided(error) else _parts_in(file)
        if parts:
            return Line(str(file), f"{parts}, no scan")
        return Line(str(file), "unreadable", reason=str(error), is_wrong=True)


def _is_undecided(error: Exception) -> bool:
    """Tell whether a file is a scan of which the user must say something."""
    from ptychonyx.runtime.errors import AxisError, QuantityError

    return isinstance(error.__cause__, QuantityError | AxisError)


def _parts_in(file: Path) -> str:
    """Return which of object and probe a file holds, in words."""
    from ptychonyx.runtime.formats import load_object, load_probe

    found = []
    for name, load in (("object", load_object), ("probe", load_probe)):
        try:
            load(file)
        except (ValueError, OSError):
            continue
        found.append(name)
    return " and ".join(found)


def _of_model(file: Path) -> Line:
    from ptychonyx.runtime.model.manifest import Manifest
    from ptychonyx.runtime.model.model_file import open_model_file

    manifest = open_model_file(file).manifest
    side = manifest.window_px if isinstance(manifest, Manifest) else None
    return Line(str(file), f"model of {manifest.KIND}", window_px=side)


def _of_product(file: Path) -> Line | None:
    from ptychonyx.runtime.formats import files_of, is_result, load_product

    if not is_result(file) or files_of(file) != [file]:
        return None
    product = load_product(file)
    believable = product.metadata.get("believable", True)
    return Line(
        str(file),
        "product",
        len(product.corners_px),
        product.window_px,
        findings=() if believable else ("not-believable",),
    )


def _of_scan(
    file: Path,
    said: Said,
    choices: ScanChoices,
    progress: Callable[[int, int], None] | None,
) -> Line:
    from ptychonyx.runtime.formats import format_of
    from ptychonyx.runtime.plausibility import look_at, median_step_px

    scan = choices.turn.apply(load_asked(file, *said))
    checked = look_at(scan, choices.accept, progress=progress)
    found = list(checked.findings)
    if not any(each.is_wrong for each in found):
        found += orientation_findings(checked.scan)
    findings = [each for each in found if each.name not in choices.accept]
    return Line(
        str(file),
        format_of(file),
        scan.num_patterns,
        scan.window_px,
        checked.counts_per_pattern,
        median_step_px(scan.corners_px),
        tuple(each.name for each in findings),
        is_wrong=any(each.is_wrong for each in findings),
    )


def _is_scan_folder(path: Path) -> bool:
    return path.is_dir() and all((path / name).is_file() for name in SCAN_FILES)


def _may_be_read(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return _is_scan_folder(path)
    if not path.is_file():
        return False
    if path.suffix.lower() == ".onnx":
        return True
    with path.open("rb") as file:
        start = file.read(max(map(len, MAGIC)))
    return start.startswith(MAGIC) and path.suffix.lower() not in (".zip", ".docx", ".xlsx", ".whl")


def _text(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"
