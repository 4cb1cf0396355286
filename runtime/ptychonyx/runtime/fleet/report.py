"""Write the report of a fleet: one page for people, and the same as JSON."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ..comparison.region import clipped_limits, known_box, without_common_phase
from ..files import write_text
from .record import PICTURE_START, Record, product_path

THUMBNAIL_PX = 80
_TEMPLATE = Path(__file__).with_suffix(".html")
_ORDER = ("failed", "waiting", "done")


def thumbnail(object_: NDArray[np.complex64], known: NDArray[np.bool_]) -> str:
    """Draw a small grey picture of an object's phase, or of its amplitude if that varies more.

    Parameters
    ----------
    object_ : complex64 array, shape (H, W)
        Transmission.
    known : bool array, shape (H, W)
        Covered pixels. The picture is cut to them; other pixels are transparent.

    Returns
    -------
    str
        A PNG as a `data:` address; "" if no pixel is known.

    Examples
    --------
    >>> known = np.ones((4, 4), np.bool_)
    >>> thumbnail(np.eye(4, dtype=np.complex64) + 1, known)[:22]
    'data:image/png;base64,'
    """
    if not known.any():
        return ""
    from PIL import Image

    box = known_box(known).slices
    object_, known = object_[box], known[box]
    phase = np.angle(without_common_phase(object_, known))
    amplitude = np.abs(object_)
    relative = amplitude / amplitude[known].mean()
    values = phase if phase[known].std() >= relative[known].std() else amplitude
    low, high = clipped_limits(values[known])
    grey = np.clip((values - low) / max(high - low, float(np.finfo(np.float32).tiny)), 0, 1)
    picture = Image.fromarray((255 * np.stack([grey, known], axis=-1)).astype(np.uint8), "LA")
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return PICTURE_START + base64.b64encode(file.getvalue()).decode()


def write_report(records: Sequence[Record], folder: Path, *, model_name: str | None) -> None:
    """Write report.html and report.json, with the failures first. The page needs no other file.

    Parameters
    ----------
    records : sequence of Record
        One for each scan.
    folder : path
        Folder of the products, where the report is written too.
    model_name : str or None
        Name of the model in its manifest, if there was one.
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
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["address"] = _address
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(**values, records=by_status)
    json_path, html_path = report_paths(folder)
    write_text(json_path, text)
    write_text(html_path, page)


def report_paths(folder: Path) -> tuple[Path, Path]:
    """Return the paths of report.json and report.html in a folder of products."""
    return folder / "report.json", folder / "report.html"


def _address(name: str) -> str:
    """Return the address of a file beside the page, also of one whose name is no text."""
    return quote(os.fsencode(name))


def _as_json(record: Record) -> dict[str, Any]:
    values = asdict(record)
    del values["thumbnail"]
    if record.status != "done":
        return {key: values[key] for key in ("name", "scan", "status", "reason")}
    return values | {"product": product_path(Path(), record.name).name}
