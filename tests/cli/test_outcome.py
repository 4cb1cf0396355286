"""What a command says of a product: how it was made, and how far it can be believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.cli.outcome import describe_outcome
from ptychonyx.runtime.product import Metadata, Product

MADE: Metadata = {
    "passes": 3,
    "stopped": "the passes asked for are done",
    "residual": 0.01,
    "residual_patterns": 256,
    "probe_counts_ratio": 1.0,
    "probe_source": "file",
    "total_s": 1.0,
}


def sentences(**changes: float | str | bool) -> str:
    object_ = np.full((8, 8), 0.45, np.complex64)
    product = Product(
        object_,
        (0, 0),
        np.zeros((2, 2)),
        np.arange(2),
        8,
        np.ones((1, 8, 8), np.complex64),
        coverage=np.ones((8, 8), np.int32),
        metadata=MADE,
    )
    changed = replace(product, metadata=MADE | changes)
    return " ".join(describe_outcome(changed, Path("p.h5"), provider=None, is_probe_kept=True))


def test_a_right_result_is_told_without_doubt() -> None:
    text = sentences(believable=True, unexplained_differences=0.05)
    assert "3 passes: the passes asked for are done." in text
    assert "1.00 % of the measured amplitude" in text
    assert "BELIEVABLE" not in text
    assert "period" not in text
    assert "probe carries" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"believable": False, "unexplained_differences": 0.48}, "48 % of what differs"),
        (
            {"believable": False, "unexplained_differences": 0.2, "left_out_unexplained": 1.6},
            "leaves 160 % of what differs between others unexplained",
        ),
        ({"resolution_px": 2.31, "resolution_nm": 64.7}, "a period of 2.31 px = 64.7 nm"),
        ({"resolution_px": 2.31}, "a period of 2.31 px (half-bit"),
        ({"resolution_missing": "the scan was not solved to its end"}, "No resolution could be told"),
        ({"probe_counts_ratio": 4.96}, "4.96 times the counts: taken as absorption, mean |O| 0.45"),
        ({"probe_counts_ratio": 1e-4}, "was fitted to the counts: absorption can no longer be told"),
        ({"probe_source": "estimated", "probe_refined": True}, "found from the patterns, with 1 mode"),
        ({"probe_source": "estimated"}, "the stored one is an estimate"),
        ({"positions_moved_px": 1.234, "positions_refined": "free"}, "moved by 1.23 px (root mean sq"),
        (
            {
                "positions_moved_px": 1.234,
                "positions_refined": "free",
                "positions_bound_px": 8,
                "positions_at_bound": "patterns 3, 7",
            },
            "At the bound of 8 px, and not to be trusted: patterns 3, 7.",
        ),
        ({"network_residual": 0.13}, "This network does not fit the scan"),
    ],
)  # fmt: skip
def test_what_there_is_to_say_is_said(changes: Metadata, said: str) -> None:
    assert said in sentences(**changes)
