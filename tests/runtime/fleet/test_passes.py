"""A fleet without a model solves its scans as the plain command would, with all options of passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import SolvingOptions, load_product, load_scan, solve
from ptychonyx.runtime.fleet.fleet import reconstruct_many

pytest.importorskip("distributed", reason="fleets run on distributed")

OTHERS = SolvingOptions(
    passes=2,
    budget_s=3600.0,
    noise="poisson",
    refine_probe=True,
    num_modes=2,
    keep_probe_scale=False,
    residual_patterns=7,
    seed=3,
)


@pytest.mark.integration
def test_every_option_reaches_the_workers(scan_path: Path, tmp_path: Path) -> None:
    fleet = reconstruct_many(
        [scan_path], None, tmp_path / "out", num_workers=1, quantity="counts", solving=OTHERS
    )
    assert [record.status for record in fleet.records] == ["done"]
    made = load_product(tmp_path / "out" / "scan.h5")
    plain = solve(load_scan(scan_path, quantity="counts"), OTHERS)
    np.testing.assert_allclose(made.object_, plain.object_, atol=1e-6)
    np.testing.assert_allclose(made.probe, plain.probe, atol=1e-6 * np.abs(plain.probe).max())
    without_times = [
        {name: value for name, value in product.metadata.items() if name != "total_s"}
        for product in (made, plain)
    ]
    assert without_times[0] == without_times[1]
