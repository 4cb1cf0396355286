"""The map: a YAML file that says where in any file patterns, positions and the rest lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import ScanError
from ...scan import QUANTITIES, Quantity

THINGS = (
    *("patterns", "positions", "probe", "object", "mask", "dark"),
    *("energy", "distance", "detector_pixel", "object_pixel", "beam_center", "quantity"),
)
"""What a map may speak of."""
PLACE_WORDS = ("file", "path", "axes", "unit", "value", "indexes", "bad", "origin")
POSITION_WORDS = ("y", "x", "columns", "sign", "swap")
NUMBER = re.compile(r"(?P<number>[-+]?[0-9.]+([eE][-+]?[0-9]+)?) *(?P<unit>[A-Za-zµμÅ]*)")
"""A number, perhaps with its unit: "8.8 keV"; YAML takes 75e-6 for a text, too."""
MAX_BYTES = 2**20
"""No map is longer."""


@dataclass(frozen=True)
class Place:
    """Where one thing lies, or the thing itself if it is a number.

    Attributes
    ----------
    path : tuple of str
        Names of arrays; of patterns, one behind the other.
    file : Path or None
        Another file than the scan's.
    axes : str or None
        A letter for each axis.
    unit : str or None
    value : tuple of float
        The number, or two for (y, x); empty if it lies in a file.
    indexes : str or None
        Name of the array with scan indexes.
    bad : "nonzero" or "zero"
        What marks a bad pixel of a mask.
    origin : str or None
        What positions in pixels point at.
    """

    path: tuple[str, ...] = ()
    file: Path | None = None
    axes: str | None = None
    unit: str | None = None
    value: tuple[float, ...] = ()
    indexes: str | None = None
    bad: str = "nonzero"
    origin: str | None = None


@dataclass(frozen=True)
class PositionPlaces:
    """Where positions lie: in a table, or y and x apart.

    Attributes
    ----------
    table : Place or None
    y, x : Place or None
    columns : str or None
        A letter for each column of the table, of which y and x are used.
    sign : (float, float)
        What y and x are multiplied with.
    is_swapped : bool
        Whether y and x are exchanged.
    """

    table: Place | None = None
    y: Place | None = None
    x: Place | None = None
    columns: str | None = None
    sign: tuple[float, float] = (1.0, 1.0)
    is_swapped: bool = False


@dataclass(frozen=True)
class ScanMap:
    """What lies where.

    Attributes
    ----------
    places : dict of str to Place
        All of `THINGS` but positions and the quantity.
    positions : PositionPlaces or None
    quantity : "counts" or "amplitude", or None
    """

    places: Mapping[str, Place] = field(default_factory=dict)
    positions: PositionPlaces | None = None
    quantity: Quantity | None = None


def read_map(path: Path) -> ScanMap:
    r"""Read a map.

    Raises
    ------
    ScanError
        If it is no map; names the word that is wrong.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "map.yaml")
    ...     _ = file.write_text("patterns: /entry/data\nenergy: {value: 8.8, unit: keV}")
    ...     found = read_map(file).places
    >>> found["patterns"].path, found["energy"].value
    (('/entry/data',), (8.8,))
    """
    if not path.is_file():
        raise ScanError(f"There is no map {path}; check the path.")
    if path.stat().st_size > MAX_BYTES:
        raise ScanError(f"{path} has more than {MAX_BYTES} bytes; a map is a short YAML file.")
    import yaml  # not needed where no map is

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ScanError(
            f"{path} is no YAML ({' '.join(str(error).split())}); a map has lines such as "
            "`patterns: /entry/data/data`: correct it."
        ) from None
    return parse_map(content, path)


def parse_map(content: Any, path: Path) -> ScanMap:
    """Return the map that a YAML file holds.

    Parameters
    ----------
    content : anything that YAML knows
    path : Path
        The file, for errors; other files are named relative to it.
    """
    if not isinstance(content, dict):
        raise ScanError(
            f"The map {path} holds a {type(content).__name__}; words with what lies where are needed: "
            "begin it with `patterns: /path/of/the/dataset`."
        )
    _check_words(content, THINGS, f"The map {path}")
    places = {
        name: _place(value, name, path)
        for name, value in content.items()
        if name not in ("positions", "quantity") and value is not None
    }
    quantity = content.get("quantity")
    if quantity is not None and quantity not in QUANTITIES:
        raise ScanError(
            f"`quantity` of the map {path} is {quantity!r}, expected one of: {', '.join(QUANTITIES)}."
        )
    positions = content.get("positions")
    return ScanMap(
        places, None if positions is None else _position_places(positions, path), quantity
    )


def with_keys(found: ScanMap, keys: tuple[tuple[str, str], ...]) -> ScanMap:
    """Return a map with further places: pairs of a thing and the name of its array.

    Positions may also be given apart, as "positions_y" and "positions_x".

    Examples
    --------
    >>> with_keys(ScanMap(), (("patterns", "dp"), ("positions_y", "ppY"))).positions.y.path
    ('ppY',)
    """
    for thing, name in keys:
        positions = found.positions or PositionPlaces()
        place = Place(path=(name,))
        if thing == "positions":
            found = replace(found, positions=replace(positions, table=place))
        elif thing == "positions_y":
            found = replace(found, positions=replace(positions, y=place))
        elif thing == "positions_x":
            found = replace(found, positions=replace(positions, x=place))
        elif thing in THINGS and thing != "quantity":
            found = replace(found, places={**found.places, thing: place})
        else:
            known = ", ".join((*THINGS[:-1], "positions_y", "positions_x"))
            raise ScanError(f"`--key` names {thing!r}, expected one of: {known}.")
    return found


def files_in(found: ScanMap) -> list[Path]:
    """Return the files that a map names."""
    places = list(found.places.values())
    if found.positions is not None:
        apart = (found.positions.table, found.positions.y, found.positions.x)
        places += [each for each in apart if each is not None]
    return sorted({each.file for each in places if each.file is not None})


def _place(value: Any, name: str, path: Path) -> Place:
    what = f"`{name}` of the map {path}"
    if isinstance(value, str):
        return _number_with_unit(value) or Place(path=(value,))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Place(value=(float(value),))
    if isinstance(value, list):
        return (
            Place(path=_texts(value, what)) if _is_texts(value) else Place(value=_pair(value, what))
        )
    if not isinstance(value, dict):
        raise ScanError(
            f"{what} is a {type(value).__name__}; the path of an array, a number, or words such as `path` "
            "and `unit` are needed: correct it."
        )
    _check_words(value, PLACE_WORDS, what)
    paths, number = value.get("path", []), value.get("value")
    if not paths and number is None:
        raise ScanError(f"{what} has no `path` and no `value`; one of them is needed: add it.")
    numbers = number if isinstance(number, list) else [] if number is None else [number]
    file = _text(value, "file", what)
    bad = _text(value, "bad", what) or "nonzero"
    if bad not in ("nonzero", "zero"):
        raise ScanError(f"`bad` of {what} is {bad!r}, expected one of: nonzero, zero.")
    return Place(
        path=_texts(paths if isinstance(paths, list) else [paths], what),
        file=None if file is None else path.parent / file,
        axes=_text(value, "axes", what),
        unit=_text(value, "unit", what),
        value=_pair(numbers, what) if numbers else (),
        indexes=_text(value, "indexes", what),
        bad=bad,
        origin=_text(value, "origin", what),
    )


def _number_with_unit(text: str) -> Place | None:
    found = NUMBER.fullmatch(text.strip())
    try:
        return found and Place(value=(float(found["number"]),), unit=found["unit"] or None)
    except ValueError:  # dots without digits
        return None


def _position_places(value: Any, path: Path) -> PositionPlaces:
    what = f"`positions` of the map {path}"
    if not isinstance(value, dict):
        return PositionPlaces(table=_place(value, "positions", path))
    _check_words(value, (*PLACE_WORDS, *POSITION_WORDS), what)
    common = {key: each for key, each in value.items() if key in PLACE_WORDS}
    sign = value.get("sign", [1, 1])
    signs = [sign.get("y", 1), sign.get("x", 1)] if isinstance(sign, dict) else sign
    columns = _text(value, "columns", what)
    pair = _pair(signs, what)
    plain = PositionPlaces(
        columns=columns, sign=(pair[0], pair[-1]), is_swapped=bool(value.get("swap"))
    )
    if "y" not in value and "x" not in value:
        return replace(plain, table=_place(common, "positions", path))
    apart = {}
    for axis in ("y", "x"):
        if axis not in value:
            raise ScanError(f"{what} has no `{axis}`; both y and x are needed: add it.")
        own = value[axis] if isinstance(value[axis], dict) else {"path": value[axis]}
        apart[axis] = _place({**common, **own}, f"positions.{axis}", path)
    return replace(plain, y=apart["y"], x=apart["x"])


def _check_words(value: Mapping[Any, Any], known: tuple[str, ...], what: str) -> None:
    unknown = [str(word) for word in value if word not in known]
    if unknown:
        raise ScanError(
            f"{what} has `{unknown[0]}`, which says nothing here; known are: {', '.join(known)}: correct "
            "it."
        )


def _text(value: Mapping[str, Any], word: str, what: str) -> str | None:
    found = value.get(word)
    if found is not None and not isinstance(found, str):
        raise ScanError(f"`{word}` of {what} is {found!r}; a text is needed: correct it.")
    return found


def _is_texts(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(each, str) for each in value)


def _texts(value: list[Any], what: str) -> tuple[str, ...]:
    if not all(isinstance(each, str) for each in value):
        raise ScanError(
            f"{what} has the path {value!r}; the name of an array is needed: correct it."
        )
    return tuple(value)


def _pair(value: Any, what: str) -> tuple[float, ...]:
    """Return one number, or two for (y, x)."""
    numbers = value if isinstance(value, list) else [value]
    numbers = [_number_in(each) for each in numbers]
    is_number = all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in numbers
    )
    if not is_number or len(numbers) not in (1, 2):
        raise ScanError(
            f"{what} has {value!r}; one number, or two for [y, x], are needed: correct it."
        )
    return tuple(float(each) for each in numbers)


def _number_in(value: Any) -> Any:
    """Return the number that a text holds; anything else as it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
