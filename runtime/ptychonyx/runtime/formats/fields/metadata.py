"""What a product says about its own making: names and single values, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import ScanError
from ...product import METADATA_NUMBERS, Metadata


def parse_metadata(text: str | None, path: Path) -> Metadata:
    """Return the metadata of a product from its JSON; without any, an empty one.

    Parameters
    ----------
    text : str or None
    path : Path
        The product, for errors.

    Raises
    ------
    ScanError
        If it is no JSON object of texts, numbers and truths.

    Examples
    --------
    >>> parse_metadata('{"method": "passes", "passes": 12}', Path("product.h5"))["passes"]
    12
    """
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"is no JSON ({error})") from None
    if not isinstance(values, dict):
        raise _wrong(path, f"is a JSON {type(values).__name__}, not an object")
    for name, value in values.items():
        if not isinstance(value, str | float | int):
            raise _wrong(path, f"has a {type(value).__name__} for `{name}`, not a single value")
        if name in METADATA_NUMBERS and not _is_number(value):
            raise _wrong(path, f"has {str(value)[:40]!r} for `{name}`, not a number")
    return values


def _is_number(value: str | float) -> bool:
    """Tell whether a value is a number; JSON knows whole ones that no float can hold."""
    if isinstance(value, str | bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _wrong(path: Path, what: str) -> ScanError:
    return ScanError(
        f"`metadata` of {path} {what}; names and single values are needed: write the product again."
    )
