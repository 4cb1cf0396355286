"""A map to fill in, filled with what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .listing import Entry, entries_of

NAMES: dict[str, tuple[str, ...]] = {
    "patterns": ("data", "dp", "diff3d", "diffraction", "patterns", "cbed", "frames", "intensity"),
    "positions_y": (
        "y",
        "ycoords",
        "posy",
        "pos_y",
        "positions_y",
        "ppy",
        "sampley_value",
        "translation_y",
    ),
    "positions_x": (
        "x",
        "xcoords",
        "posx",
        "pos_x",
        "positions_x",
        "ppx",
        "samplex_value",
        "translation_x",
    ),
    "positions": ("translation", "positions", "positions_real", "probe_positions", "pos", "coords"),
    "probe": ("probe", "probeguess", "probe_modes", "illumination"),
    "object": ("object", "objectguess"),
    "energy": (
        "energy",
        "photon_energy",
        "incident_energy",
        "incident_beam_energy",
        "photon_energy_ev",
    ),
    "distance": ("distance", "detector_distance", "detector_distance_m", "z"),
    "detector_pixel": ("x_pixel_size", "pixel_size", "detector_pixel_size", "psize", "ds"),
    "object_pixel": ("dx", "dx_spec", "object_pixel_width_m", "pixel_size_m"),
    "mask": ("mask", "pixel_mask", "bad_pixels"),
}
"""Word of a map -> names, in small letters, by which files call it."""
NUMBER_UNITS = {"energy": "eV", "distance": "m", "detector_pixel": "m", "object_pixel": "m"}


def guess(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return what is probably what in a file, by names and shapes.

    Patterns are the largest array of three or four axes; the rest goes by names.

    Examples
    --------
    >>> import numpy as np
    >>> from ..storage.arrays import Header
    >>> made = {"raw/dp": (9, 8, 8), "motor/Y": (9,), "motor/X": (9,), "probe": (8, 8)}
    >>> file = Path("scan.h5")
    >>> entries = [Entry(Header(name, file, shape, np.dtype("f4"))) for name, shape in made.items()]
    >>> {what: each.header.name for what, each in guess(entries).items()}
    {'patterns': 'raw/dp', 'positions_y': 'motor/Y', 'positions_x': 'motor/X', 'probe': 'probe'}
    """
    found: dict[str, Entry] = {}
    stacks = [each for each in entries if _is_stack(each)]
    named = [each for each in stacks if _last_name(each) in NAMES["patterns"]]
    if stacks:
        found["patterns"] = max(named or stacks, key=lambda each: each.size)
    for what, names in NAMES.items():
        if what == "patterns":
            continue
        fits = [each for each in entries if _last_name(each) in names and _fits(what, each)]
        if fits:
            found[what] = min(fits, key=lambda each: names.index(_last_name(each)))
    if "positions_y" not in found or "positions_x" not in found:
        found.pop("positions_y", None)
        found.pop("positions_x", None)
    else:
        found.pop("positions", None)
    return found


def map_template(path: Path) -> str:
    """Return a map in YAML, filled with what a file seems to hold, and with the rest as comments.

    Parameters
    ----------
    path : Path
        HDF5, NPZ or MATLAB.
    """
    entries = entries_of(path)
    found = guess(entries)
    lines = [
        f"# A map of {path.name}: check each line, then `ptychonyx inspect {path.name} --map FILE`.",
        "# Every place may also name another `file`, relative to this map.",
    ]
    lines += _patterns_lines(found.get("patterns"))
    lines += _positions_lines(found)
    for name, unit in NUMBER_UNITS.items():
        lines += _number_lines(name, unit, found.get(name))
    for name in ("probe", "object", "mask"):
        entry = found.get(name)
        mark = "" if entry is not None else "# "
        more = "  # bad: nonzero" if name == "mask" else ""
        lines.append(f"{mark}{name}: {_path(entry)}{_shape(entry)}{more}")
    lines.append("# dark: /path/of/images/without/beam")
    lines.append("# beam_center: [y, x]  # pixel of the direct beam, where images must be cropped")
    lines.append("# The file also holds:")
    used = {each.header.name for each in found.values()}
    lines += [f"#   {each}" for each in entries if each.header.name not in used][:20]
    return "\n".join(lines) + "\n"


def _patterns_lines(entry: Entry | None) -> list[str]:
    lines = ["patterns:", f"  path: {_path(entry)}{_shape(entry)}"]
    axes = "nyx" if entry is None or len(entry.header.shape) == 3 else "mnyx"
    lines.append(f"  axes: {axes}  # y and x of an image; other letters count images")
    lines.append("  # indexes: /path/of/scan/indexes")
    lines.append("quantity: counts  # or amplitude")
    return lines


def _positions_lines(found: dict[str, Entry]) -> list[str]:
    lines = ["positions:"]
    if "positions" in found:
        entry = found["positions"]
        is_xyz = 3 in entry.header.shape
        lines.append(f"  path: {_path(entry)}{_shape(entry)}")
        lines.append(f"  columns: {'xyz' if is_xyz else 'yx'}")
    else:
        y, x = found.get("positions_y"), found.get("positions_x")
        lines.append(f"  y: {_path(y)}{_shape(y)}")
        lines.append(f"  x: {_path(x)}{_shape(x)}")
    is_pixels = "positions_y" in found and _last_name(found["positions_y"]) == "ycoords"
    lines.append(
        f"  unit: {'px' if is_pixels else 'm'}  # m, mm, um, nm; px for pixels of the object"
    )
    lines.append("  sign: {y: 1, x: 1}")
    lines.append("  swap: false")
    lines.append("  # indexes: /path/of/scan/indexes")
    return lines


def _number_lines(name: str, unit: str, entry: Entry | None) -> list[str]:
    if entry is None:
        return [f"# {name}: {{value: 0, unit: {unit}}}"]
    return [f"{name}: {{path: {_path(entry)}, unit: {unit}}}"]


def _path(entry: Entry | None) -> str:
    if entry is None:
        return "/path/of/the/array"
    name = entry.header.name
    return name if re.fullmatch(r"[\w/.-]*[A-Za-z_/][\w/.-]*", name) else f'"{name}"'


def _shape(entry: Entry | None) -> str:
    return "" if entry is None else f"  # {entry.header.shape} {entry.header.dtype}"


def _last_name(entry: Entry) -> str:
    return entry.header.name.rpartition("/")[2].lower()


def _is_stack(entry: Entry) -> bool:
    return (
        len(entry.header.shape) in (3, 4) and entry.header.dtype.kind in "buif" and entry.size > 1
    )


def _fits(what: str, entry: Entry) -> bool:
    """Tell whether an array has the shape of what its name says."""
    num_axes, kind = len(entry.header.shape), entry.header.dtype.kind
    if what in NUMBER_UNITS:
        return entry.size in (1, 2) and kind in "uif"
    if what in ("positions_y", "positions_x"):
        return entry.size == max(entry.header.shape, default=0) > 1 and kind in "uif"
    if what == "positions":
        return num_axes == 2 and not {2, 3}.isdisjoint(entry.header.shape) and kind in "uif"
    if what == "mask":
        return num_axes == 2 and kind in "bui"
    return num_axes in (2, 3, 4)
