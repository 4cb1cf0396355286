"""What a worker does with one scan, or with a part of one: parts add up to the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_orders import make_order

from ptychonyx.runtime import SolvingOptions, solve
from ptychonyx.runtime.fleet import tasks
from ptychonyx.runtime.fleet.record import Record, product_path
from ptychonyx.runtime.fleet.tasks import Order
from ptychonyx.runtime.formats import load_product
from ptychonyx.runtime.formats.options import ScanOptions
from ptychonyx.runtime.product import Metadata
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.turns import Turn

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
pytest.importorskip("PIL", reason="records have a picture")


@pytest.mark.parametrize(("num_channels", "align_phase"), [(1, False), (4, False), (1, True)])
def test_a_split_scan_is_the_unsplit_one(
    num_channels: int,
    align_phase: bool,
    model_path: Callable[..., Path],
    scan_path: Path,
    tmp_path: Path,
) -> None:
    model = model_path(window_px=32, patch_px=16, num_channels=num_channels, max_distance_px=12.0)
    folder = tmp_path / "out"
    options: dict[str, Any] = {"batch_size": 7, "align_phase": align_phase}
    whole = make_order(scan_path, model, folder, "whole", **options)
    unsplit = tasks.reconstruct_scan(whole)
    order = make_order(scan_path, model, folder, "parts", split_patterns=15, **options)
    split = tasks.reconstruct_scan(order)
    assert isinstance(split, tasks.Split)
    reference: tasks.Reference | None = None
    for is_last in [False, True] if align_phase else [True]:
        parts = [
            tasks.stitch_part(order, split, *ends, reference)
            for ends in ((0, 13), (13, 26), (26, 40))
        ]
        merged = tasks.merge_parts(tasks.merge_parts(parts[0], parts[1]), parts[2])
        if not is_last:
            reference = tasks.make_reference(split, merged)
    record = tasks.finish_parts(order, split, merged, reference)
    assert (record.status, record.num_parts, record.num_patterns) == ("done", 3, 40)
    assert isinstance(unsplit, Record)
    assert record.residual == pytest.approx(unsplit.residual, rel=1e-5)
    a, b = (load_product(product_path(folder, name)) for name in ("parts", "whole"))
    assert a.complete
    assert a.num_patterns_used == b.num_patterns_used == 40
    largest = float(np.abs(b.object_).max())
    np.testing.assert_allclose(a.object_, b.object_, rtol=0, atol=1e-6 * largest)
    np.testing.assert_array_equal(a.coverage, b.coverage)
    np.testing.assert_array_equal(a.probe, b.probe)
    assert a.disagreement is not None
    assert b.disagreement is not None
    np.testing.assert_allclose(a.disagreement, b.disagreement, rtol=0, atol=1e-6 * largest**2)
    assert a.metadata.keys() == b.metadata.keys()


def test_a_process_opens_the_model_once_and_refuses_another_in_its_place(order: Order) -> None:
    assert tasks.open_model(order) is tasks.open_model(order)
    stale = dataclasses.replace(order, model_digest="0" * 64)
    with pytest.raises(RuntimeError, match="changed while the fleet was running"):
        tasks.open_model(stale)


@pytest.mark.parametrize("has_model", [True, False])
def test_a_scan_that_passes_go_over_is_solved_in_one_task(
    has_model: bool, model: Path, scan_path: Path, tmp_path: Path
) -> None:
    """After a network always, else if it is no larger than a share."""
    changes: dict[str, Any] = {"refine_passes": 2} if has_model else {"passes": 2}
    given, split = (model, 15) if has_model else (None, 40)
    order = make_order(scan_path, given, tmp_path / "out", "one", split_patterns=split, **changes)
    record = tasks.reconstruct_scan(order)
    assert isinstance(record, Record)
    assert record.method == ("network and passes" if has_model else "passes")
    assert (record.num_parts, record.passes, record.disagreement) == (1, 2, None)
    assert record.residual is not None
    assert record.thumbnail.startswith("data:image/png")
    metadata = load_product(product_path(tmp_path / "out", "one")).metadata
    assert metadata["residual"] == record.residual
    assert tasks.reconstruct_scan(order) == record  # as it was read from its file


def test_what_a_scan_needs_is_in_its_record(order: Order, small_scan: Scan) -> None:
    product = solve(small_scan, SolvingOptions(passes=1, residual_patterns=0, solver="none"))
    cases: tuple[tuple[Metadata, str], ...] = (
        ({"intensity_needed": 0.11}, "refine-intensity"),
        ({}, ""),
    )
    for told, name in cases:
        needy = dataclasses.replace(product, metadata=product.metadata | told)
        record = tasks.finish_scan(order, needy, num_parts=1, before_s=0.0, started_s=0.0)
        assert name in record.needed
        assert bool(record.needed) == bool(name)


def test_a_scan_is_read_and_turned_as_ordered(order: Order, small_scan: Scan) -> None:
    ordered = dataclasses.replace(
        order, scan_options=ScanOptions("counts", bin=2), turn=Turn(flip="x")
    )
    loaded = tasks.load(ordered)
    assert (loaded.window_px, loaded.turned) == (16, "--flip x")
    assert tasks.load(order).window_px == small_scan.window_px
