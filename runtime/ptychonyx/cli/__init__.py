"""The front door: the one folder that knows all parts, and imports each only when it is needed."""

from __future__ import annotations

import importlib.metadata
import logging
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .models import benchmark, derive, export, verify
from .options import reconstruction_options, verbosity, with_options
from .reconstruction import reconstruct, reconstruct_folder, reconstruct_many
from .scans import compare, inspect, simulate
from .terminal import INTERRUPTED, fail
from .training import cluster_options, train, training_settings


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
    help="Train ptychography networks, export them to ONNX, reconstruct anywhere.\n\n"
    "**Example:** `ptychonyx reconstruct scan.npz --model model.onnx -o product.h5`",
)

COMMANDS = (
    inspect,
    simulate,
    with_options(with_options(train, training_settings, "settings"), cluster_options, "cluster"),
    export,
    derive,
    verify,
    benchmark,
    with_options(reconstruct, reconstruction_options, "options"),
    with_options(reconstruct_folder, reconstruction_options, "options"),
    with_options(reconstruct_many, reconstruction_options, "options"),
    compare,
)
for command in COMMANDS:
    app.command(cls=_Command)(with_options(command, verbosity))


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


def main() -> None:
    """Run the command line: exit code 0 success, 1 failure, 2 wrong use, 130 interrupted."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
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
