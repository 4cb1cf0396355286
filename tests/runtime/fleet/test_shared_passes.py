"""Several workers solve one scan: its object is that of one process, also when a worker dies."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fleet_orders import make_order
from numpy.typing import NDArray

from ptychonyx.runtime import Product, Scan, SolvingOptions, load_product, load_scan
from ptychonyx.runtime.fleet import share_tasks
from ptychonyx.runtime.fleet.fleet import Fleet, reconstruct_many
from ptychonyx.runtime.fleet.share_tasks import Share
from ptychonyx.runtime.fleet.states import FOLDER, state_path
from ptychonyx.runtime.solving.shares.beginning import Effort
from ptychonyx.runtime.solving.shares.local import solve_in_shares

if TYPE_CHECKING:
    from distributed import LocalCluster

pytest.importorskip("distributed", reason="fleets run on distributed")
pytest.importorskip("PIL", reason="records have a picture")

TOLERANCE = 1e-5
"""Relative l2 of two objects that differ by the order of float32 sums."""


@contextmanager
def cluster_of(num_workers: int, *, processes: bool) -> Iterator[LocalCluster]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=num_workers,
        threads_per_worker=1,
        processes=processes,
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster


def solve_with(
    cluster: LocalCluster, scan_path: Path, folder: Path, options: SolvingOptions, **others: Any
) -> Fleet:
    return reconstruct_many(
        [scan_path],
        None,
        folder,
        dask=cluster,
        quantity="counts",
        solving=options,
        **{"split_patterns": 20} | others,
    )


def one_process(scan_path: Path, options: SolvingOptions) -> Product:
    return solve_in_shares(load_scan(scan_path, quantity="counts"), options)


def difference(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def assert_is_that_of_one_process(product: Product, alone: Product) -> None:
    assert difference(product.object_, alone.object_) < TOLERANCE
    assert difference(product.probe, alone.probe) < TOLERANCE
    assert product.pass_residuals == pytest.approx(alone.pass_residuals, rel=1e-4)
    np.testing.assert_array_equal(product.coverage, alone.coverage)
    assert product.metadata.keys() == alone.metadata.keys()
    assert product.complete


@pytest.mark.integration
@pytest.mark.parametrize("refine_probe", [False, True])
@pytest.mark.parametrize(("split_patterns", "num_shares"), [(20, 2), (15, 3)])
def test_workers_that_share_a_scan_solve_it_as_one_does(
    scan_path: Path, tmp_path: Path, split_patterns: int, num_shares: int, refine_probe: bool
) -> None:
    options, out = SolvingOptions(passes=8, refine_probe=refine_probe), tmp_path / "out"
    with cluster_of(num_shares, processes=False) as cluster:
        fleet = solve_with(cluster, scan_path, out, options, split_patterns=split_patterns)
    assert fleet.num_done == 1, fleet.failed
    assert (fleet.records[0].num_parts, fleet.records[0].passes) == (num_shares, 8)
    product = load_product(out / "scan.h5")
    assert_is_that_of_one_process(product, one_process(scan_path, options))
    told = [product.metadata[name] for name in ("shares", "passes", "repeats")]
    assert told == [num_shares, 8, 0]
    assert not (out / FOLDER).exists()


@pytest.mark.integration
def test_a_worker_that_dies_costs_a_pass_and_not_the_object(
    scan_path: Path, tmp_path: Path
) -> None:
    options, out = SolvingOptions(passes=12, refine_probe=True), tmp_path / "out"
    killed: list[int] = []
    with cluster_of(2, processes=True) as cluster:

        def kill_one_after_four_passes() -> bool:
            if not killed and state_path(out, "scan", 4).exists():
                killed.append(cluster.workers[1].process.pid)
                os.kill(killed[0], signal.SIGKILL)
            return False

        fleet = solve_with(cluster, scan_path, out, options, should_stop=kill_one_after_four_passes)
    assert killed
    assert fleet.num_done == 1, fleet.failed
    product = load_product(out / "scan.h5")
    assert_is_that_of_one_process(product, one_process(scan_path, options))
    assert product.metadata["repeats"] in (
        1,
        2,
    )  # 2: Dask gives the share to the worker's successor
    assert product.metadata["workers"] in (2, 3)


@pytest.mark.integration
def test_whether_a_scan_was_shared_decides_about_its_product_and_how_does_not(
    scan_path: Path, tmp_path: Path
) -> None:
    options, out = SolvingOptions(passes=2), tmp_path / "out"
    with cluster_of(1, processes=False) as cluster:
        runs = [
            solve_with(cluster, scan_path, out, options, split_patterns=split)
            for split in (20, 15, 40, 50, 20)
        ]
    assert [run.num_skipped for run in runs] == [0, 1, 0, 1, 0]
    assert [run.records[0].num_parts for run in runs] == [2, 2, 1, 1, 2]


@pytest.mark.integration
def test_a_share_that_cannot_be_read_fails_with_its_reason(
    small_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptychonyx.runtime.errors import ScanError
    from ptychonyx.runtime.formats import save_scan

    def refuse(*_: object, **__: object) -> None:
        raise ScanError("Pattern 30 holds nonsense.")

    save_scan(small_scan, tmp_path / "scan.npz")
    monkeypatch.setattr(share_tasks, "read_share", refuse)
    with cluster_of(1, processes=False) as cluster:
        fleet = solve_with(
            cluster, tmp_path / "scan.npz", tmp_path / "out", SolvingOptions(passes=2)
        )
    assert [record.reason for record in fleet.failed] == ["Pattern 30 holds nonsense."]
    assert not (tmp_path / "out" / FOLDER).exists()


def test_some_passes_are_made_by_one_worker(scan_path: Path, tmp_path: Path) -> None:
    order = make_order(scan_path, None, tmp_path, "scan", split_patterns=15)
    assert order.is_split(40)
    assert not order.is_split(15)
    needs_one: list[dict[str, Any]] = [{"budget_s": 60.0}, {"solver": "own.onnx"}]
    for changes in needs_one:
        other = dataclasses.replace(order, recipe=order.recipe.changed(changes))
        assert not other.is_split(40)


def test_patterns_never_travel(scan_path: Path, tmp_path: Path) -> None:
    order = make_order(scan_path, None, tmp_path, "scan")
    share = share_tasks.hold_share(order, 5, 40)
    patterns = share.problem().measured.kept
    assert sys.getsizeof(share) > patterns.nbytes
    sent = pickle.dumps(share)
    assert len(sent) < 4000
    again = pickle.loads(sent)
    assert isinstance(again, Share)
    assert sys.getsizeof(again) < patterns.nbytes
    np.testing.assert_array_equal(again.problem().measured.kept, patterns)
    assert share.problem() is share.problem()


def test_a_product_that_is_there_already_is_not_made_again(scan_path: Path, tmp_path: Path) -> None:
    order = make_order(scan_path, None, tmp_path, "scan", split_patterns=20, passes=1)
    begun = share_tasks.begin_passes(order)
    shares = [share_tasks.hold_share(order, *ends) for ends in ((0, 20), (20, 40))]
    rules = begun.beginning.rules
    whole = share_tasks.add_parts(
        *(share_tasks.sum_share(order, rules, share, 1) for share in shares)
    )
    done = share_tasks.end_pass(order, rules, 1, whole)
    again = share_tasks.end_pass(order, rules, 1, whole)  # its worker died before it could say so
    assert done.residual == again.residual
    effort = Effort((done.residual,), 2, 1, 0, 1.0)
    record = share_tasks.finish_passes(order, begun.beginning, effort)
    assert not state_path(tmp_path, "scan", 1).exists()
    assert share_tasks.finish_passes(order, begun.beginning, effort) == record
