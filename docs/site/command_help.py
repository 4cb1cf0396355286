"""Write what `--help` says of every command, as typer writes it in Markdown."""

from __future__ import annotations

import typer
from typer.cli import get_docs_for_click

from ptychonyx.cli import app


def commands() -> str:
    """Return one section for each command, the options before a command first."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="ptychonyx")
    return "#" + text  # the page has a title of its own
