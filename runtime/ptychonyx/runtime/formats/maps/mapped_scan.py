"""Any file read by a map; and what to say of one that needs a map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scan import Scan
from ..assembly.assemble import assemble
from ..assembly.found import Found
from ..beamline.finders import find_in
from ..options import ScanOptions
from ..placed_object import PlacedObject
from ..storage.kinds import kind_of
from .listing import contents
from .map_file import ScanMap, files_in, read_map, with_keys
from .mapped import apply_map
from .opening import LABELS


def read_scan(path: Path, options: ScanOptions) -> Scan:
    """Read a scan by a map, and by keys; what they do not say, the file's own format may."""
    scan_map = _map_of(options)
    found = Found(path, _label(path))
    if "patterns" not in scan_map.places:
        found = find_in(path) or found
    found = apply_map(found, scan_map)
    if found.frames is None:
        raise ScanError(
            f"{path} ({_label(path)}) holds {contents(path)}, and the map names no patterns; a scan needs "
            "them: add `patterns: PATH` to it, or `--key patterns=PATH`."
        )
    return assemble(found, options)


def map_files(map_path: Path) -> list[Path]:
    """Return a map and the files that it names.

    Raises
    ------
    ScanError
        If it is no map.
    """
    return [map_path, *files_in(read_map(map_path))]


def refuse_scan(path: Path, options: ScanOptions) -> Scan:
    """Say what a file of no known layout holds, and how to read it."""
    raise _refusal(path, "a scan, its patterns and positions")


def refuse_object(path: Path) -> PlacedObject:
    """Say that where an object lies is not known."""
    raise _refusal(path, "an object")


def refuse_probe(path: Path) -> NDArray[np.complex64]:
    """Say that where a probe lies is not known."""
    raise _refusal(path, "a probe")


def _refusal(path: Path, what: str) -> ScanError:
    return ScanError(
        f"{path} is {_label(path)} of no known layout; it holds: {contents(path)}. Where {what}, lies is "
        "needed: say it with `--map` (`ptychonyx inspect FILE --map-template` prints one to correct)."
    )


def _label(path: Path) -> str:
    return LABELS.get(kind_of(path) or "", "a file")


def _map_of(options: ScanOptions) -> ScanMap:
    scan_map = ScanMap() if options.map_path is None else read_map(options.map_path)
    return with_keys(scan_map, options.keys)
