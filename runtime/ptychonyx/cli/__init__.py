"""The front door: the one folder that knows all parts, and imports each only when it is needed."""

from __future__ import annotations

import logging

import typer

from .models import benchmark, export, verify
from .reconstruction import reconstruct, reconstruct_folder, reconstruct_many
from .scans import compare, inspect, simulate
from .terminal import INTERRUPTED, fail
from .training import train

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Train ptychography networks, export them to ONNX, reconstruct anywhere.\n\n"
    "**Example:** `ptychonyx reconstruct scan.npz --model model.onnx -o product.h5`",
)

for command in (
    inspect,
    simulate,
    train,
    export,
    verify,
    benchmark,
    reconstruct,
    reconstruct_folder,
    reconstruct_many,
    compare,
):
    app.command()(command)


def main() -> None:
    """Run the command line: exit code 0 success, 1 failure, 2 wrong use, 130 interrupted."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("ptychonyx").setLevel(logging.INFO)
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
