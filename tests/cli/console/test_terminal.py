"""Tables show names as they are; progress is drawn on a terminal alone."""

from __future__ import annotations

import io
import sys

import pytest

from ptychonyx.cli.console.terminal import print_columns, print_table, progress_bar


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


@pytest.mark.parametrize("name", ["[/red]", "[red]a[/blue]", "[link=http://x]a", "a\\[b"])
def test_a_table_shows_brackets_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(name, {name: name})
    print_columns(name, (name, "b"), [(name, "1")])
    assert capsys.readouterr().out.count(name) == 6


def test_a_table_obeys_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("a", {"b": "\x1b[2Jgone"})
    assert r"\x1b[2Jgone" in capsys.readouterr().out
