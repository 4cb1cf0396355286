"""All commands, put together, and how the process ends with them."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .cluster import cluster_options
from .console.streams import flush_or_give_up, printable
from .console.terminal import INTERRUPTED, fail
from .conversion import convert
from .importing import import_network
from .inspection import inspect
from .models import benchmark, derive, export, verify
from .options.reading import reading_options
from .options.scan_choices import scan_choices
from .options.shared import reconstruction_options, verbosity, with_options
from .options.solving import solving_options
from .options.training import training_settings
from .reconstruction import reconstruct, reconstruct_folder, reconstruct_many
from .scans import compare, simulate
from .training import train, train_solver


class _Command(TyperCommand):
    """A command whose help shows no type behind flags, which take no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_flag_types(super().get_params(ctx))


class _Group(TyperGroup):
    """The same for the options that stand before a command."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_flag_types(super().get_params(ctx))


def _without_flag_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Reconstruct ptychographic scans by physics or by networks; train and export these.\n\n"
    "**Example:** `ptychonyx reconstruct scan.npz -o product.h5`",
)


def _of_both_ways(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options of networks and those of passes."""
    with_network = with_options(command, reconstruction_options, "options")
    return with_options(with_network, solving_options, "solving")


def _of_scans(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options that say how a scan is read and turned."""
    return with_options(with_options(command, scan_choices, "choices"), reading_options, "reading")


COMMANDS = (
    _of_scans(inspect),
    simulate,
    _of_scans(
        with_options(with_options(train, training_settings, "settings"), cluster_options, "cluster")
    ),
    _of_scans(with_options(train_solver, cluster_options, "cluster")),
    export,
    import_network,
    _of_scans(derive),
    verify,
    benchmark,
    _of_scans(_of_both_ways(reconstruct)),
    with_options(_of_both_ways(reconstruct_folder), scan_choices, "choices"),
    _of_scans(_of_both_ways(reconstruct_many)),
    with_options(compare, reading_options, "reading"),
    with_options(convert, reading_options, "reading"),
)
NAMES = {"import_network": "import"}
"""Name of a function -> its command, where that is a word of Python."""
for command in COMMANDS:
    app.command(NAMES.get(command.__name__), cls=_Command)(with_options(command, verbosity))


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ptychonyx {importlib.metadata.version('ptychonyx')}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Give the options that stand before a command a place."""


class _Formatter(logging.Formatter):
    """Shows names that hold control characters as what they are."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def run() -> None:
    """Run the command that was asked for, and end the process with its exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        app(standalone_mode=True)
    except (ValueError, ImportError) as error:
        fail(error, 2)
    except KeyboardInterrupt:
        fail("Interrupted.", INTERRUPTED)
    except (RuntimeError, OSError, MemoryError) as error:
        from ptychonyx.runtime.errors import TrainingInterruptedError

        interrupted = isinstance(error, TrainingInterruptedError)
        fail(error, INTERRUPTED if interrupted else 1)
    finally:
        flush_or_give_up(sys.stdout)
        flush_or_give_up(sys.stderr)
