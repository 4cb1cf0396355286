"""An order of a fleet by hand: what `reconstruct_many` gives to its workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptychonyx.runtime.fleet.record import fingerprint_of
from ptychonyx.runtime.fleet.tasks import Order
from ptychonyx.runtime.formats.options import ScanOptions
from ptychonyx.runtime.model.model_file import open_model_file
from ptychonyx.runtime.reconstruction.recipe import DEFAULT_RECIPE


def make_order(
    scan: Path,
    model: Path | None,
    folder: Path,
    name: str,
    *,
    split_patterns: int = 1000,
    **options: Any,
) -> Order:
    """Return the order of one scan of counts, into a folder that has one for records."""
    (folder / "records").mkdir(parents=True, exist_ok=True)
    digest = None if model is None else open_model_file(model).digest
    return Order(
        name,
        scan,
        folder,
        fingerprint_of(scan, digest, {}),
        model,
        digest,
        scan_options=ScanOptions("counts"),
        recipe=DEFAULT_RECIPE.changed(options),
        split_patterns=split_patterns,
    )
