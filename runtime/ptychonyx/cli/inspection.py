"""The command that says what files are, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console.terminal import Show, print_columns, print_table, progress_bar, say
from .options.reading import Reading
from .options.scan_choices import ScanChoices, as_options, orientation_findings
from .options.shared import (
    Axis,
    Origin,
    Patterns,
    Plot,
    Quantity,
    Said,
    check_files,
    load_asked,
    scan_files,
)
from .overview import files_within, overview

if TYPE_CHECKING:
    from ptychonyx.runtime.orientation import Orientation
    from ptychonyx.runtime.scan import Scan

NUM_WAYS_SHOWN = 5


def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(exists=True, help="Scans, products, models, or a folder of them."),
    ],
    choices: ScanChoices,
    reading: Reading,
    quantity: Quantity = None,
    position_origin: Origin = None,
    patterns: Patterns = None,
    pattern_axis: Axis = None,
    probe: Annotated[
        Path | None,
        typer.Option(exists=True, help="File whose probe `--check-orientation` takes instead."),
    ] = None,
    check_orientation: Annotated[
        bool,
        typer.Option(
            "--check-orientation", help="Find which way round patterns and positions are."
        ),
    ] = False,
    map_template: Annotated[
        bool,
        typer.Option(
            "--map-template", help="Print a map of the file to correct and give with --map."
        ),
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plot: Plot = None,
) -> None:
    """Say what a scan, a product or a model is, and what is wrong with it.

    Of a product with its patterns beside it, both are shown. Of several files, or a folder, each gets
    one line. What would give a wrong result ends with exit code 2, unless it is accepted.

    **Example:** `ptychonyx inspect scan.npz --quantity counts --plot scan.png`

    **Example:** `ptychonyx inspect scan.npz --quantity counts --check-orientation`
    """
    said = (quantity, position_origin, patterns, pattern_axis, reading)
    if len(files) == 1:
        _refuse_native(files[0])
    within = files_within(files)
    if within is not None:
        _refuse_single(plot=plot, patterns=patterns, probe=probe, orientation=check_orientation)
        _show_many(within, said, choices, as_json=json_)
        return
    (file,) = files
    if map_template:
        _print_map_template(file)
        return
    is_model = file.suffix.lower() == ".onnx"
    check_files([file] if is_model else scan_files(file, patterns, reading), plot=plot)
    values: dict[str, Any] = {}
    if is_model:
        _show(file, _model_rows(file), values, as_json=json_)
    else:
        with _naming_models():
            is_read_anew = reading.map_path is not None or bool(reading.keys)
            shown = not is_read_anew and _show_product(file, values, as_json=json_)
            if shown and not _has_patterns(file, patterns) and plot is None:
                _print_json(values, json_)
                return
            _show_scan(file, said, choices, values, probe, check_orientation, plot, as_json=json_)
    _print_json(values, json_)
    if values.get("wrong"):
        _refuse(values)


def _refuse_native(file: Path) -> None:
    """Refuse a network that was not exported, as `verify` does; HDF5 may be a scan."""
    from ptychonyx.runtime.formats import HDF5_SUFFIXES
    from ptychonyx.runtime.model.model_file import open_model_file, recognise_native

    if file.suffix.lower() not in HDF5_SUFFIXES and recognise_native(file) is not None:
        open_model_file(file)


@contextmanager
def _naming_models() -> Iterator[None]:
    """Say of a file of no known format that models are inspected, too."""
    from ptychonyx.runtime.errors import UnknownFormatError

    try:
        yield
    except UnknownFormatError as error:
        raise UnknownFormatError(f"{error} Models are inspected, too: .onnx.") from None


def _print_map_template(file: Path) -> None:
    from ptychonyx.runtime.formats import map_template

    typer.echo(map_template(file), nl=False)


def _model_rows(file: Path) -> dict[str, str]:
    from ptychonyx.runtime.describe import describe_model
    from ptychonyx.runtime.model.model_file import open_model_file

    model = open_model_file(file)
    return {**describe_model(model.manifest), "sha256": model.digest}


def _show_product(file: Path, values: dict[str, Any], *, as_json: bool) -> bool:
    """Show a file if it is a result of ours; tell whether it was."""
    from ptychonyx.runtime.describe import describe_product
    from ptychonyx.runtime.formats import is_result, load_product

    if not is_result(file):
        return False
    rows = describe_product(load_product(file))
    if as_json:
        values["product"] = rows
    else:
        print_table(file.name, rows)
    return True


def _has_patterns(file: Path, patterns: Path | None) -> bool:
    from ptychonyx.runtime.formats import files_of

    return patterns is not None or files_of(file) != [file]


def _show_scan(
    file: Path,
    said: Said,
    choices: ScanChoices,
    values: dict[str, Any],
    probe: Path | None,
    check_orientation: bool,
    plot: Path | None,
    *,
    as_json: bool,
) -> None:
    from ptychonyx.runtime.describe import describe_scan
    from ptychonyx.runtime.plausibility import look_at

    scan = choices.turn.apply(load_asked(file, *said))
    with progress_bar("Reading patterns", scan.num_patterns) as show:
        checked = look_at(scan, choices.accept, progress=lambda done, _: show(done))
    rows = describe_scan(scan, checked)
    found = list(checked.findings)
    if not (check_orientation or any(each.is_wrong for each in found)):
        found += orientation_findings(checked.scan)
    findings = [each for each in found if each.name not in choices.accept]
    if plot is not None:
        from ptychonyx.runtime.plot import plot_scan

        plot_scan(scan, plot, checked=checked, findings=findings)
    _show(file, rows, values, as_json=as_json)
    values["findings"] = [asdict(each) for each in findings]
    values["wrong"] = [each.name for each in findings if each.is_wrong]
    if not as_json:
        for finding in sorted(findings, key=lambda each: not each.is_wrong):
            say(f"{'WRONG' if finding.is_wrong else 'Odd'}: {finding}")
    if check_orientation and checked.counts_per_pattern:
        _show_orientation(checked.scan, probe, values, as_json=as_json)


def _show_orientation(
    scan: Scan, probe: Path | None, values: dict[str, Any], *, as_json: bool
) -> None:
    from ptychonyx.runtime import load_probe
    from ptychonyx.runtime.orientation import check_orientation

    given = None if probe is None else load_probe(probe)
    with progress_bar("Turning patterns and positions", None):
        found = check_orientation(scan, probe=given)
    values["orientation"] = {
        "verdict": found.verdict,
        "options": found.best.options,
        "reason": found.reason,
        "ways": [
            {"options": way.turn.options, "residual": way.residual}
            for way in found.ways[:NUM_WAYS_SHOWN]
        ],
    }
    if as_json:
        return
    _print_ways(found)
    cure = f" Read it with: {found.best.options}" if found.verdict == "wrong" else ""
    if cure and scan.turned:
        cure += f", on top of {scan.turned}"
    say(f"{found.reason.rstrip('.')}.{cure}")


def _print_ways(found: Orientation) -> None:
    rows = [
        (way.turn.options or "as it is", f"{100 * way.residual:.2f} %")
        for way in found.ways[:NUM_WAYS_SHOWN]
    ]
    if rows:
        print_columns("orientation", ("options", "unexplained"), rows)


def _show(file: Path, rows: dict[str, str], values: dict[str, Any], *, as_json: bool) -> None:
    values["file"] = str(file)
    values["rows"] = rows
    if not as_json:
        print_table(file.name, rows)


def _print_json(values: Any, is_asked: bool) -> None:
    if is_asked:
        typer.echo(json.dumps(values, allow_nan=False))


def _refuse(values: dict[str, Any]) -> None:
    """End with what must give a wrong result, as `reconstruct` does."""
    from ptychonyx.runtime.plausibility import Finding, refuse_wrong

    findings = [Finding(**each) for each in values["findings"]]
    try:
        refuse_wrong(findings, values["file"])
    except ValueError as error:
        raise type(error)(f"{error}{as_options(tuple(values['wrong']))}") from None


def _refuse_single(**options: object) -> None:
    """Refuse options that are for a single file."""
    for name, value in options.items():
        if value:
            raise ValueError(
                f"`--{name}` is for a single scan, but there are several files; give one of them."
            )


def _part_of(show: Show, number: int) -> Callable[[int, int], None]:
    """Return what shows the patterns read of one of several files."""
    return lambda done, num: show(number + done / num)


def _show_many(
    files: list[Path],
    said: Said,
    choices: ScanChoices,
    *,
    as_json: bool,
) -> None:
    lines = []
    with progress_bar("Reading files", len(files)) as show:
        for number, file in enumerate(files):
            show(number, title=f"Reading {file.name}")
            lines.append(overview(file, said, choices, progress=_part_of(show, number)))
            show(number + 1)
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in lines], allow_nan=False))
    else:
        columns = ("file", "what", "patterns", "N", "dose", "step", "findings")
        print_columns(f"{len(lines)} files", columns, [line.cells for line in lines])
        for line in lines:
            if line.reason:
                say(f"{Path(line.file).name}: {line.reason}")
    if any(line.is_wrong for line in lines):
        raise typer.Exit(2)
