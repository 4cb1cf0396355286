"""Records of the scans of a fleet, so that each is reconstructed once."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..files import digest_of, write_text
from ..formats import files_of

_logger = logging.getLogger(__name__)

RECORDS = "records"
"""Folder, in that of the products, with one JSON file for each finished scan."""
STATUSES = ("done", "failed", "waiting")
PICTURE_START = "data:image/png;base64,"
"""A page with this picture loads nothing from elsewhere."""

Fingerprint = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """The outcome of one scan.

    Attributes
    ----------
    name : str
        Name of the scan in its fleet, and of its product.
    scan : str
        Absolute path.
    status : "done", "failed" or "waiting"
        Waiting is what an interrupted fleet did not come to.
    fingerprint : dict
        All that decides the product, see `fingerprint_of`.
    reason : str
        Why it failed.
    num_patterns : int
    num_parts : int
        Into how many parts it was split.
    object_shape : (int, int)
        Height and width of its canvas in pixels.
    coverage : float
        Share of the canvas that patches cover.
    disagreement : float or None
        Disagreement of overlapping patches, root mean square over the covered pixels; None where
        passes made the object, which has no patches.
    residual : float or None
        Share of the measured amplitude that the object leaves unexplained, if that was measured.
    method : str
        How it was made: "network", "passes" or "network and passes".
    passes : int or None
        Their number, if there were any.
    probe_source : str
        Where its probe came from, see `probe.ChosenProbe`.
    doubt : str
        Why its product should not be believed; "" if nothing speaks against it.
    needed : str
        Which options the scan needs that its passes did without, see `belief.needs`.
    findings : str
        What is odd about the scan, see `plausibility.check_scan`.
    work_s : float
        Seconds that workers spent on it, all of them together.
    worker : str
        Host and process that wrote the product.
    thumbnail : str
        A small picture of the object, as a `data:` address.
    product_digest : str
        sha256 of the product file; "" if there is none.
    """

    name: str
    scan: str
    status: Literal["done", "failed", "waiting"]
    fingerprint: Fingerprint
    reason: str = ""
    num_patterns: int = 0
    num_parts: int = 0
    object_shape: tuple[int, int] = (0, 0)
    coverage: float = 0.0
    disagreement: float | None = None
    residual: float | None = None
    method: str = "network"
    passes: int | None = None
    probe_source: str = ""
    doubt: str = ""
    needed: str = ""
    findings: str = ""
    work_s: float = 0.0
    worker: str = ""
    thumbnail: str = ""
    product_digest: str = ""


def fingerprint_of(
    scan: Path, model_digest: str | None, choices: dict[str, Any], more: Sequence[Path] = ()
) -> Fingerprint:
    """Return what a product depends on: size and time of the scan's files, the model, the choices.

    `more` are files that say how the scan is read.

    Examples
    --------
    >>> fingerprint_of(Path("nowhere.npz"), "ab12", {"scale": None})
    {'files': {}, 'model': 'ab12', 'scale': None}
    """
    files = {}
    for path in (*files_of(scan), *more):
        status = path.stat()
        files[str(path)] = [status.st_size, status.st_mtime_ns]
    fingerprint = {"files": files, "model": model_digest, **choices}
    # as a record will have it: paths and tuples are texts and lists there
    as_read: Fingerprint = json.loads(json.dumps(fingerprint, default=str))
    return as_read


def product_path(folder: Path, name: str) -> Path:
    """Return where the product of a scan is written."""
    return folder / f"{name}.h5"


def write_record(record: Record, folder: Path) -> None:
    """Write a record beside its product, whole or not at all."""
    write_text(record_path(folder, record.name), json.dumps(asdict(record), allow_nan=False))


def finished_record(folder: Path, name: str, fingerprint: Fingerprint) -> Record | None:
    """Return the record of a scan whose product is there and still the same, or None.

    The whole product is read to find out.
    """
    path, product = record_path(folder, name), product_path(folder, name)
    if not path.is_file() or not product.is_file():
        return None
    record = _read(path)
    if record is None or record.status != "done" or record.fingerprint != fingerprint:
        return None
    if digest_of(product) != record.product_digest:
        _logger.warning(
            "%s is not what was written there; its scan is reconstructed again.", product
        )
        return None
    return record


def names_in(folder: Path) -> dict[str, str]:
    """Return the names that scans have in a folder of products: path -> name."""
    records = (_read(path) for path in sorted((folder / RECORDS).glob("[!.]*.json")))
    return {record.scan: record.name for record in records if record is not None}


def unique_names(scans: Sequence[Path], known: dict[str, str]) -> dict[Path, str]:
    """Name each scan after its file, and where that is not enough, also after its folder.

    Parameters
    ----------
    scans : sequence of path
        Absolute, each once.
    known : dict
        Names that scans have already: path -> name. They keep them.

    Returns
    -------
    dict
        Path -> name.

    Examples
    --------
    >>> names = unique_names([Path("/a/one.npz"), Path("/a/two.npz"), Path("/b/two.npz")], {})
    >>> list(names.values())
    ['one', 'a-two', 'b-two']
    """
    names = {scan: known[str(scan)] for scan in scans if str(scan) in known}
    taken = set(known.values())
    others = [scan for scan in scans if scan not in names]
    ways: tuple[Callable[[Path], str], ...] = (
        lambda scan: scan.stem,
        lambda scan: f"{scan.parent.name}-{scan.stem}",
        lambda scan: f"{scan.stem}-{hashlib.sha256(str(scan).encode()).hexdigest()[:12]}",
    )
    for way in ways:
        number = Counter(way(scan) for scan in others)
        for scan in others:
            name = way(scan)
            if number[name] == 1 and name not in taken:
                names[scan] = name
                taken.add(name)
        others = [scan for scan in others if scan not in names]
    return {scan: names[scan] for scan in scans}


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove what workers that were killed while writing have left; only while no worker writes."""
    ours = {
        path.name for name in names for path in (product_path(folder, name), Path(name + ".json"))
    }
    for path in [*folder.glob(".*.tmp"), *(folder / RECORDS).glob(".*.tmp")]:
        if path.name[1:].removesuffix(".tmp").rpartition(".")[0] in ours:
            path.unlink(missing_ok=True)


def record_path(folder: Path, name: str) -> Path:
    """Return where the record of a scan is written."""
    return folder / RECORDS / f"{name}.json"


def _read(path: Path) -> Record | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        record = Record(**values | {"object_shape": tuple(values["object_shape"])})
        _check(record, path.stem)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        _logger.warning("%s is no record (%s); its scan is reconstructed again.", path, error)
        return None
    return record


def _check(record: Record, name: str) -> None:
    """Refuse a record that others wrote or changed: its name and words end in paths and in a page."""
    if record.name != name:  # that of a file, which is one part of a path
        raise ValueError(f"its name is {record.name!r}, expected {name!r}")
    if record.status not in STATUSES:
        raise ValueError(f"its status is {record.status!r}, expected one of {', '.join(STATUSES)}")
    if not isinstance(record.fingerprint, dict) or len(record.object_shape) != 2:
        raise ValueError("`fingerprint` or `object_shape` has another shape")
    kinds: dict[Kind, tuple[str, ...]] = {
        _is_text: (
            *(
                "scan",
                "product_digest",
                "reason",
                "method",
                "probe_source",
                "findings",
                "doubt",
                "needed",
                "worker",
            ),
        ),
        _is_picture: ("thumbnail",),
        _is_count: ("num_patterns", "num_parts"),
        _is_number: ("coverage", "work_s"),
        _is_number_or_none: ("disagreement", "residual"),
        _is_count_or_none: ("passes",),
    }
    for is_kind, fields in kinds.items():
        for field in fields:
            value = getattr(record, field)
            if not is_kind(value):
                raise ValueError(f"`{field}` is {str(value)[:40]!r}, which does not fit")
    if not all(_is_count(side) for side in record.object_shape):
        raise ValueError(f"`object_shape` is {record.object_shape}, expected two whole numbers")


Kind = Callable[[object], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_picture(value: object) -> bool:
    return isinstance(value, str) and (not value or value.startswith(PICTURE_START))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def _is_number_or_none(value: object) -> bool:
    return value is None or _is_number(value)


def _is_count_or_none(value: object) -> bool:
    return value is None or _is_count(value)
