"""The first stage of the demo: two ways to solve one scan, in one picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_commands import ROWS, show_table
from demo_first import WAYS, solve_both

TINY = (
    *("--object", "dead_leaves", "--num-patterns", 16, "--window-px", 32, "--step-px", 4),
    *("--counts-per-pattern", 5000, "--num-modes", 1),
)


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(600)
def test_both_ways_are_scored_and_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    scores = solve_both(tmp_path, TINY, "12:36,12:36", ("--passes", 2))
    assert list(scores) == [way.title for way in WAYS]
    assert all(set(each) == set(ROWS) for each in scores.values())
    assert (tmp_path / "first.png").read_bytes().startswith(b"\x89PNG")
    show_table("title", scores, tmp_path / "first.txt")
    assert all(way.title in (tmp_path / "first.txt").read_text() for way in WAYS)
