"""One page about a fleet, for people and as JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import write_text
from .record import Record, product_path

THUMBNAIL_PX = 80
_CLIPPED_PERCENT = 0.5  # at each end, so that single hot pixels do not decide
_TEMPLATE = Path(__file__).with_suffix(".html")
_ORDER = ("failed", "waiting", "done")


def thumbnail(object_: NDArray[np.complex64], known: NDArray[np.bool_]) -> str:
    """Draw a small grey picture of an object: its phase, or its amplitude if that varies more.

    Parameters
    ----------
    object_ : complex64 array, shape (H, W)
    known : bool array, shape (H, W)
        Covered pixels; the picture is cut to them, and clear elsewhere.

    Returns
    -------
    str
        A PNG as a `data:` address; empty if nothing is known.

    Examples
    --------
    >>> known = np.ones((4, 4), np.bool_)
    >>> thumbnail(np.eye(4, dtype=np.complex64) + 1, known)[:22]
    'data:image/png;base64,'
    """
    if not known.any():
        return ""
    from PIL import Image

    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    object_, known = object_[box], known[box]
    mean = object_[known].sum()
    phase = np.angle(object_ * np.exp(-1j * np.angle(mean)))
    amplitude = np.abs(object_)
    relative = amplitude / amplitude[known].mean()
    values = phase if phase[known].std() >= relative[known].std() else amplitude
    low, high = np.percentile(values[known], (_CLIPPED_PERCENT, 100 - _CLIPPED_PERCENT))
    grey = np.clip((values - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1)
    picture = Image.fromarray((255 * np.stack([grey, known], axis=-1)).astype(np.uint8), "LA")
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def write_report(records: Sequence[Record], folder: Path, *, model_name: str) -> None:
    """Write report.html, which needs no other file, and report.json; failures come first.

    Parameters
    ----------
    records : sequence of Record
    folder : path
        That of the products.
    model_name : str
        As in its manifest.
    """
    from jinja2 import Environment

    by_status = sorted(records, key=lambda record: _ORDER.index(record.status))
    counts = {status: sum(one.status == status for one in records) for status in _ORDER}
    values = {
        "model": model_name,
        **counts,
        "num_patterns": sum(record.num_patterns for record in records),
        "work_s": sum(record.work_s for record in records),
    }
    scans = [_as_json(record) for record in by_status]
    text = json.dumps({**values, "scans": scans}, indent=1, allow_nan=False)
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        _TEMPLATE.read_text(encoding="utf-8")
    )
    page = template.render(**values, records=by_status)
    json_path, html_path = report_paths(folder)
    write_text(json_path, text)
    write_text(html_path, page)


def report_paths(folder: Path) -> tuple[Path, Path]:
    """Return where the report is written, as JSON and as a page."""
    return folder / "report.json", folder / "report.html"


def _as_json(record: Record) -> dict[str, Any]:
    values = asdict(record)
    del values["thumbnail"]
    if record.status != "done":
        return {key: values[key] for key in ("name", "scan", "status", "reason")}
    return values | {"product": product_path(Path(), record.name).name}
