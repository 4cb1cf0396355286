"""The orders of a fleet: one for each scan, with all that decides its product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..files import Output, OutputFolder, check_outputs
from ..formats import files_of, map_files, product_output
from ..formats.options import ScanOptions
from ..reconstruction.options import ReconstructionOptions
from ..solving.options import SolvingOptions
from ..turns import NO_TURN
from .record import fingerprint_of, names_in, product_path, record_path, unique_names
from .report import report_paths
from .tasks import Order

DO_NOT_DECIDE = ("provider", "batch_size")
"""Options that do not decide about a product, but for rounding: another machine may have others."""


def make_orders(scans: Sequence[Path], common: Order) -> list[Order]:
    """Return the order of each scan: what all have in common, with its name and fingerprint."""
    folder = common.folder
    paths = list(dict.fromkeys(scan.resolve() for scan in scans))
    names = unique_names(paths, names_in(folder))
    map_path = common.scan_options.map_path
    of_map = [] if map_path is None else map_files(map_path)
    read = [*of_map, *(file for path in paths for file in files_of(path))]
    outputs: list[Output | OutputFolder] = [
        OutputFolder(folder),
        *(
            product_output(product_path(folder, name), is_folder_made=True)
            for name in names.values()
        ),
        *(Output(record_path(folder, name), is_folder_made=True) for name in names.values()),
        *(Output(path, is_folder_made=True) for path in report_paths(folder)),
    ]
    check_outputs([*read, *([] if common.model is None else [common.model])], outputs)
    choices = choices_of(common)
    return [
        replace(
            common,
            name=names[path],
            scan=path,
            fingerprint=fingerprint_of(path, common.model_digest, choices, of_map),
        )
        for path in paths
    ]


def choices_of(order: Order) -> dict[str, Any]:
    """Return all that decides a product beside files and model."""
    recipe = order.recipe
    choices = _that_decide(order.scan_options) | {"accept": sorted(order.accept)}
    del choices["patterns_path"]
    if order.turn != NO_TURN:
        choices["turn"] = order.turn.options
    if order.model is None:
        choices["solving"] = _that_decide(recipe.solving)
    else:
        choices |= _that_decide(recipe.network)
        if recipe.refine_passes is not None:
            choices["solving"] = _that_decide(recipe.refining)
    return choices


def _that_decide(options: ScanOptions | ReconstructionOptions | SolvingOptions) -> dict[str, Any]:
    return {name: value for name, value in asdict(options).items() if name not in DO_NOT_DECIDE}
