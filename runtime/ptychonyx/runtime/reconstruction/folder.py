"""One scan in Ptychodus' standard folder in, one product out, with events for the caller."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import IO, Any

from ..errors import ScanError
from ..files import Output, check_outputs, is_same_file
from ..formats import files_of, load_scan, product_output, save_product
from ..formats.ptychodus_scan import PATTERNS, PRODUCT
from ..model.model_file import open_model_file
from ..model.session import Model
from ..plausibility import log_findings, make_plausible
from ..product import Product
from ..turns import NO_TURN, Turn
from .recipe import DEFAULT_RECIPE, Recipe
from .run import follow
from .settings import load_recipe, load_turn

MODEL, SETTINGS = "model.onnx", "settings.ini"
NUM_PROGRESS_EVENTS = 100


@dataclass(frozen=True)
class Events:
    """One JSON object a line: `event` and its fields; `elapsed_s` counts from the first.

    Without a file, nothing is written.
    """

    file: IO[str] | None
    started_s: float

    def emit(self, event: str, **values: Any) -> None:
        """Write one line, at once."""
        if self.file is not None:
            elapsed_s = round(monotonic() - self.started_s, 3)
            line = json.dumps({"event": event, "elapsed_s": elapsed_s, **values}, allow_nan=False)
            self.file.write(f"{line}\n")
            self.file.flush()


@contextmanager
def open_events(path: Path | None) -> Iterator[Events]:
    """Open the event file; an exception that passes through is its last line.

    Raises
    ------
    ValueError
        If the file cannot be made.
    """
    if path is None:
        yield Events(None, monotonic())
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"The event file {path} cannot be made ({error}); give one in a folder that exists."
        ) from error
    with file:
        events = Events(file, monotonic())
        try:
            yield events
        except BaseException as error:
            events.emit("error", type=type(error).__name__, message=str(error))
            raise


def has_model(input_folder: Path) -> bool:
    """Tell whether a folder has a model; without one, its scan is solved by passes."""
    return (input_folder / MODEL).is_file()


def recipe_of(input_folder: Path) -> Recipe:
    """Return what settings.ini of a folder says; without the file, the defaults.

    Raises
    ------
    ValueError
        If the file cannot be read, or a value does not fit its key.
    """
    settings = input_folder / SETTINGS
    return load_recipe(settings) if settings.is_file() else DEFAULT_RECIPE


def turn_of(input_folder: Path) -> Turn:
    """Return how settings.ini of a folder has its scan turned; without the file, not at all.

    Raises
    ------
    ValueError
        If the file cannot be read, or a value does not fit its key.
    """
    settings = input_folder / SETTINGS
    return load_turn(settings) if settings.is_file() else NO_TURN


def reconstruct_folder(
    input_folder: Path,
    output_folder: Path,
    *,
    events: Events,
    should_stop: Callable[[], bool],
    recipe: Recipe | None = None,
    turn: Turn | None = None,
    accept: Collection[str] = (),
) -> Product:
    """Reconstruct diffraction.h5 and product.h5 of a folder with its model.onnx, or by passes.

    The product is written as product.h5 of the output folder, which is made if it is missing.

    Parameters
    ----------
    input_folder, output_folder : path
    recipe : Recipe, optional
        By default what settings.ini says, see `recipe_of`.
    turn : Turn, optional
        How patterns and positions are turned; by default as settings.ini says.
    accept : collection of str
        Names of findings with the scan that are right all the same, see `make_plausible`.
    events : Events
        Gets `finding`, `started`, `progress`, `cancelling` and `finished`.
    should_stop : callable
        Asked after each batch; if true, what was done so far is written, with `complete` false.

    Raises
    ------
    ValueError
        If something is missing in the folder, or does not fit.
    RuntimeError
        If the provider does not start, or fails.
    """
    _check_folders(input_folder, output_folder)
    recipe = recipe_of(input_folder) if recipe is None else recipe
    turn = turn_of(input_folder) if turn is None else turn
    checked = make_plausible(turn.apply(load_scan(input_folder)), accept)
    log_findings(checked.findings, str(input_folder), accept)
    for finding in checked.findings:
        events.emit("finding", **asdict(finding))
    scan, model = checked.scan, None
    if has_model(input_folder):
        model_path = input_folder / MODEL
        recipe = replace(recipe, network=recipe.network.tuned(open_model_file(model_path).digest))
        model = Model(model_path, provider=recipe.network.provider)
    method = recipe.method(has_model=model is not None)
    output_folder.mkdir(parents=True, exist_ok=True)
    path = output_folder / PRODUCT
    events.emit(
        "started",
        pid=os.getpid(),
        method=method,
        model=None if model is None else model.manifest.name,
        provider=None if model is None else model.provider,
        num_patterns=scan.num_patterns,
        product=str(path),
    )
    product = follow(
        scan,
        model,
        recipe,
        progress=_report(events),
        pass_progress=_report_passes(events),
        should_stop=_tell_once(events, should_stop),
    )
    save_product(product, path)
    events.emit(
        "finished",
        product=str(path),
        complete=product.complete,
        believable=product.metadata.get("believable"),
        num_patterns_used=product.num_patterns_used,
    )
    return product


def _tell_once(events: Events, should_stop: Callable[[], bool]) -> Callable[[], bool]:
    """Return what remembers that it was asked to stop, and writes so once."""
    is_cancelling = False

    def stop() -> bool:
        nonlocal is_cancelling
        if not is_cancelling and should_stop():
            is_cancelling = True
            events.emit("cancelling")
        return is_cancelling

    return stop


def _report(events: Events) -> Callable[[int, int], None]:
    """Return a progress that writes no more than `NUM_PROGRESS_EVENTS` lines."""
    written = 0

    def report(done: int, num: int) -> None:
        nonlocal written
        if done * NUM_PROGRESS_EVENTS // num > written:
            written = done * NUM_PROGRESS_EVENTS // num
            events.emit("progress", num_patterns_done=done, num_patterns=num)

    return report


def _report_passes(events: Events) -> Callable[[int, int, float], None]:
    """Return a progress of passes: those of the result, or trials that find out how many it takes."""

    def report(done: int, num: int, residual: float) -> None:
        name, number = ("num_passes_done", done) if done else ("num_trial_passes_done", num)
        known = residual if isfinite(residual) else None
        events.emit("progress", **{name: number}, residual=known)

    return report


def check_event_file(event_file: Path, input_folder: Path, output_folder: Path) -> None:
    """Refuse an event file that cannot be written, or would destroy what the folder mode handles.

    Everything else that is wrong with the folders becomes an event in it.

    Raises
    ------
    ValueError
        Names the file, and what to do.
    """
    if is_same_file(event_file, output_folder / PRODUCT):
        raise ValueError(
            f"The event file {event_file} is named twice, since it is the product, too; give it "
            "another name."
        )
    check_outputs(
        _files_read(input_folder), [Output(event_file, is_stream=True, what="event file")]
    )


def _check_folders(input_folder: Path, output_folder: Path) -> None:
    if not input_folder.is_dir():
        raise ScanError(f"There is no folder {input_folder}; check the path.")
    for name in (PATTERNS, PRODUCT):
        if not (input_folder / name).is_file():
            raise ScanError(
                f"{input_folder} has no {name}; {PATTERNS} and {PRODUCT} are needed: put it there."
            )
    product = product_output(output_folder / PRODUCT, is_folder_made=True)
    check_outputs(_files_read(input_folder), [product])


def _files_read(input_folder: Path) -> list[Path]:
    own = [input_folder / name for name in (MODEL, SETTINGS)]
    try:
        network = recipe_of(input_folder).solving.solver_file
    except ValueError:  # settings that cannot be read are an event, once they are followed
        network = None
    return [*own, *([] if network is None else [network]), *files_of(input_folder)]
