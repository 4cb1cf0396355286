"""Progress is drawn on a terminal alone, with its title as it changes."""

from __future__ import annotations

import io
import sys

import pytest

from ptychonyx.cli.terminal import progress_bar


class Terminal(io.StringIO):
    """What stands in for a person's screen."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("screen", [Terminal(), io.StringIO()], ids=["terminal", "file"])
def test_a_bar_is_drawn_on_a_terminal(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", screen)
    with progress_bar("Reconstructing", None) as show:
        show(0)
        show(2, total=4, title="Pass 2, 0.57 % unexplained")
    drawn = screen.getvalue()
    assert ("0.57 % unexplained" in drawn) == ("50%" in drawn) == screen.isatty()
