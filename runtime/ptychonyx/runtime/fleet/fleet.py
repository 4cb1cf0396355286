"""Many scans, many workers, one recipe: a product for each scan, and a report.

Dask decides who does what, and does again what a worker that died was doing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, cast

from ..formats.options import ScanOptions
from ..model.model_file import open_model_file
from ..model.start import may_use_gpu
from ..reconstruction.options import DEFAULT_OPTIONS, ReconstructionOptions
from ..reconstruction.recipe import Recipe
from ..scan import Quantity
from ..solving.options import AUTO, DEFAULT_SOLVING, SolvingOptions
from ..solving.shares.share import even_parts, in_a_tree
from ..turns import NO_TURN, Turn
from .connection import LOCAL, connected
from .orders import make_orders
from .record import RECORDS, Record, remove_leftovers
from .report import write_report
from .share_tasks import Begun, Held, PassDone, begin_passes
from .shared_passes import SharedPasses
from .states import remove_all_states
from .tasks import (
    DEFAULT_SPLIT_PATTERNS,
    Order,
    Split,
    ToShare,
    finish_parts,
    make_reference,
    merge_parts,
    num_parts_of,
    reconstruct_scan,
    stitch_part,
)

if TYPE_CHECKING:
    from distributed import Client, Future
    from distributed.deploy import Cluster

_logger = logging.getLogger(__name__)

WAIT_S = 0.2
"""Seconds between two questions whether to stop."""


@dataclass(frozen=True)
class Fleet:
    """The outcome of a fleet.

    Attributes
    ----------
    records : tuple of Record
        One for each scan, in their order.
    num_skipped : int
        Scans that were finished before.
    is_stopped : bool
        Whether it was stopped early.
    """

    records: tuple[Record, ...]
    num_skipped: int
    is_stopped: bool

    @property
    def failed(self) -> tuple[Record, ...]:
        """Those that failed."""
        return tuple(record for record in self.records if record.status == "failed")

    @property
    def num_done(self) -> int:
        """Scans that have their product, with those of before."""
        return sum(record.status == "done" for record in self.records)


def reconstruct_many(
    scans: Sequence[Path],
    model: Path | None,
    folder: Path,
    *,
    dask: str | Cluster = LOCAL,
    num_workers: int | None = None,
    quantity: str | None = None,
    position_origin: str | None = None,
    pattern_axis: str | None = None,
    map_path: Path | None = None,
    keys: Mapping[str, str] | None = None,
    crop_px: int | None = None,
    bin: int | None = None,
    turn: Turn = NO_TURN,
    split_patterns: int = DEFAULT_SPLIT_PATTERNS,
    options: ReconstructionOptions = DEFAULT_OPTIONS,
    solving: SolvingOptions = DEFAULT_SOLVING,
    refine_passes: int | str | None = None,
    accept: Sequence[str] = (),
    connect_s: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Fleet:
    """Reconstruct scans with Dask, one task each, into one folder with a report.

    Scans that have a product of the same files, model and choices are skipped. One that fails is
    tried once more, then listed with the reason; the others go on.

    Parameters
    ----------
    scans : sequence of path
        All workers must see them at these paths, and the model and the folder, too.
    model : path or None
        Model file. None: scans are solved by passes.
    folder : path
        Gets `NAME.h5` for each scan, records, `report.html` and `report.json`; made if missing.
    dask : str or Dask cluster
        Address of a scheduler, a cluster that was started (with its certificates, if it has some),
        or "local": workers are started here, and stopped in the end.
    num_workers : int, optional
        Workers to start on this machine; by default one for each core, or one if it may use a GPU. The cores
        are shared among them.
    quantity, position_origin, pattern_axis, map_path, keys, crop_px, bin : optional
        As in `load_scan`, for all scans.
    turn : Turn
        How patterns and positions of all scans are turned.
    split_patterns : int
        A scan with more patterns is split into parts of at most so many, for several workers: a
        network's are stitched together, and passes from vacuum become parallel passes. Passes
        after a network, within a budget, or with a solver's file, are made by one worker.
    options : ReconstructionOptions
        How the model reconstructs all scans.
    solving : SolvingOptions
        How passes solve all scans.
    refine_passes : int, "auto" or None
        Passes after the network, see `Recipe`.
    accept : sequence of str
        Names of findings with a scan that are right all the same, see `make_plausible`.
    connect_s : float
        Seconds to wait for the scheduler's first answer.
    progress : callable, optional
        Called with the number of scans done, and of all.
    should_stop : callable, optional
        Asked several times a second; if true, scans that are not finished are given up.

    Returns
    -------
    Fleet

    Raises
    ------
    ValueError
        If an argument is out of range, or the model cannot be used.
    RuntimeError
        If Dask is not installed, or no scheduler answers at the address.
    """
    _need_dask()
    _check(split_patterns, dask, num_workers)
    num_threads = 1
    if dask == LOCAL:
        provider = _provider(model, options, solving)
        num_threads, num_workers = _share_cores(provider, num_workers)
    file = None if model is None else open_model_file(model)
    order = Order(
        name="",
        scan=Path(),
        folder=folder.resolve(),
        fingerprint={},
        model=None if model is None else model.resolve(),
        model_digest=None if file is None else file.digest,
        scan_options=ScanOptions(
            cast(Quantity | None, quantity),
            position_origin,
            pattern_axis=pattern_axis,
            map_path=None if map_path is None else map_path.resolve(),
            keys=tuple((keys or {}).items()),
            crop_px=crop_px,
            bin=bin,
        ),
        recipe=Recipe(options, solving, refine_passes),
        num_threads=num_threads,
        split_patterns=split_patterns,
        turn=turn,
        accept=tuple(accept),
    )
    orders = make_orders(scans, order)
    (folder / RECORDS).mkdir(parents=True, exist_ok=True)
    done = _finished(orders)
    num_skipped = len(done)
    report = progress or (lambda done, num: None)
    report(num_skipped, len(orders))
    todo = [order for order in orders if order.name not in done]
    if todo:
        with connected(dask, num_workers, connect_s) as client:
            for record in _results(client, todo, should_stop or (lambda: False)):
                done[record.name] = record
                report(len(done), len(orders))
    is_stopped = len(done) < len(orders)
    if dask == LOCAL or not is_stopped:  # else workers elsewhere may still be writing
        remove_leftovers(folder, [order.name for order in todo])
        remove_all_states(folder, [order.name for order in todo])
    done |= _finished(todo)  # also what was finished after the last look
    records = [done.get(order.name) or _record(order, "waiting") for order in orders]
    write_report(records, folder, model_name=None if file is None else file.manifest.name)
    return Fleet(tuple(records), num_skipped, is_stopped)


def _need_dask() -> None:
    try:
        import cryptography  # noqa: F401
        import distributed  # noqa: F401
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f'Fleets need {error.name}, which is not installed: pip install "ptychonyx[fleet]"'
        ) from error


def _check(split_patterns: int, dask: str | Cluster, num_workers: int | None) -> None:
    """Refuse what cannot work with any scan."""
    if split_patterns < 1:
        raise ValueError(f"`split_patterns` is {split_patterns}; give 1 or more.")
    if num_workers is not None and num_workers < 1:
        raise ValueError(f"`num_workers` is {num_workers}; give 1 or more.")
    if num_workers is not None and dask != LOCAL:
        raise ValueError(
            f"`num_workers` is {num_workers}, but the workers at {dask} were started "
            "elsewhere; leave it out, or use the local ones."
        )


def _provider(
    model: Path | None, options: ReconstructionOptions, solving: SolvingOptions
) -> str | None:
    """Return the execution provider of a worker; None if passes need none."""
    if model is not None:
        return options.provider
    return None if solving.provider == AUTO else solving.provider


def _share_cores(provider: str | None, num_workers: int | None) -> tuple[int, int]:
    """Return the threads of each worker, and how many workers to start on this machine."""
    from dask.system import CPU_COUNT

    if num_workers is None:
        num_workers = 1 if provider is not None and may_use_gpu(provider) else CPU_COUNT
    return max(1, CPU_COUNT // num_workers), num_workers


def _finished(orders: Sequence[Order]) -> dict[str, Record]:
    found = (order.finished() for order in orders)
    return {record.name: record for record in found if record is not None}


def _results(
    client: Client, orders: Sequence[Order], should_stop: Callable[[], bool]
) -> Iterator[Record]:
    """Submit everything to Dask, and yield the record of each scan as it is done."""
    finished: Queue[Future] = Queue()
    running: dict[str, tuple[Order, Future]] = {}
    shared: dict[str, SharedPasses] = {}

    def watch(order: Order, future: Future) -> None:
        running[future.key] = order, future
        future.add_done_callback(finished.put)

    for order in orders:
        watch(order, client.submit(reconstruct_scan, order, pure=False, retries=1))
    while running and not should_stop():
        try:
            future = finished.get(timeout=WAIT_S)
        except Empty:
            continue
        order, _ = running.pop(future.key)
        if future.status != "finished":
            shared.pop(order.name, None)  # lets go of what workers hold for it
            yield _record(order, "failed", _reason(future))
            continue
        result = future.result()
        if isinstance(result, Split | ToShare):  # what comes next knows what was found
            order = replace(order, repairs=result.repairs, findings=result.findings)
        if isinstance(result, Record):
            shared.pop(order.name, None)
            yield result
        else:
            watch(order, _submit_next(client, order, future, result, shared))
    client.cancel([future for _, future in running.values()])


def _submit_next(
    client: Client,
    order: Order,
    future: Future,
    result: Split | ToShare | Begun | Held | PassDone,
    shared: dict[str, SharedPasses],
) -> Future:
    """Submit what follows a task over a split scan; return the future to wait for."""
    if isinstance(result, Split):
        return _submit_parts(client, order, future, result.num_patterns)
    if isinstance(result, ToShare):
        return client.submit(begin_passes, order, pure=False, priority=1, retries=1)
    if isinstance(result, Begun):
        shared[order.name] = SharedPasses(client, order, result)
        return shared[order.name].hold()
    return shared[order.name].go_on(result)


def _submit_parts(client: Client, order: Order, split: Future, num_patterns: int) -> Future:
    """Submit the passes over a split scan; return the future of its record."""
    reference = None
    for _ in range(order.recipe.network.num_passes - 1):
        whole = _submit_pass(client, order, split, num_patterns, reference)
        reference = client.submit(make_reference, split, whole, pure=False, priority=1)
    whole = _submit_pass(client, order, split, num_patterns, reference)
    return client.submit(
        finish_parts, order, split, whole, reference, pure=False, priority=1, retries=1
    )


def _submit_pass(
    client: Client, order: Order, split: Future, num_patterns: int, reference: Future | None
) -> Future:
    """Submit the parts of a scan and the tree that sums them; return the future of their sum."""
    parts = [
        client.submit(stitch_part, order, split, *ends, reference, pure=False, retries=1)
        for ends in even_parts(num_patterns, num_parts_of(order, num_patterns))
    ]
    # sums before parts: they free memory
    return in_a_tree(parts, partial(client.submit, merge_parts, pure=False, priority=1))


def _reason(future: Future) -> str:
    from distributed import KilledWorker

    if future.status == "cancelled":
        return "The scheduler was lost before the scan was done; run the command again."
    error = future.exception()
    if isinstance(error, KilledWorker):
        return (
            "Every worker that tried it died, probably for want of memory: give workers more, or "
            "split the scan into smaller parts."
        )
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _record(order: Order, status: Any, reason: str = "") -> Record:
    return Record(order.name, str(order.scan), status, order.fingerprint, reason)
