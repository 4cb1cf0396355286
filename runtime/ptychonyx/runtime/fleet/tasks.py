"""What the workers of a fleet do: plain functions, which know nothing of Dask."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from time import perf_counter

import numpy as np

from ..formats import load_scan, save_product
from ..model.session import Model
from ..product import Product
from ..reconstruction.plan import Plan, plan_reconstruction
from ..reconstruction.reconstruct import make_product, pipeline_for, reconstruct
from ..reconstruction.residual import DEFAULT_NUM_PATTERNS
from ..scan import Scan
from ..stitching.mosaic import Mosaic, PartialSums, canvas_for
from .record import Fingerprint, Record, finished_record, product_path, write_record
from .report import thumbnail

DEFAULT_SPLIT_PATTERNS = 20_000
"""A minute or two of one core: long enough for a task, short enough to lose."""

_opening = Lock()


@dataclass(frozen=True)
class FleetOptions:
    """What may be chosen for all scans of a fleet.

    Attributes
    ----------
    quantity, position_origin
        See `formats.load_scan`.
    scale, batch_size, residual_patterns
        See `reconstruct.reconstruct`.
    provider : str
        See `Model`.
    num_threads : int
        Of one prediction on the CPU.
    split_patterns : int
        A scan with more is split into parts of at most so many.
    """

    quantity: str | None = None
    position_origin: str | None = None
    scale: float | str | None = None
    batch_size: int = 64
    residual_patterns: int = DEFAULT_NUM_PATTERNS
    provider: str = "auto"
    num_threads: int = 1
    split_patterns: int = DEFAULT_SPLIT_PATTERNS


@dataclass(frozen=True)
class Order:
    """One scan to be reconstructed: paths that every worker sees, and how."""

    name: str
    scan: Path
    folder: Path
    fingerprint: Fingerprint
    model: Path
    model_digest: str
    options: FleetOptions


@dataclass(frozen=True)
class Split:
    """A scan that is too large for one task, and how its parts are reconstructed."""

    plan: Plan
    num_patterns: int
    work_s: float


@dataclass(frozen=True)
class Part:
    """What was stitched of a scan, by one worker or by several."""

    sums: PartialSums
    num_patterns: int
    num_parts: int
    infer_s: float
    work_s: float


def reconstruct_scan(order: Order) -> Record | Split:
    """Reconstruct a scan and write product and record, or say how to split it.

    A scan that another worker has finished, and then died before it could say so, is not
    reconstructed again.
    """
    finished = finished_record(order.folder, order.name, order.fingerprint)
    if finished is not None:
        return finished
    started_s = perf_counter()
    scan, model, options = _load(order), open_model(order), order.options
    if scan.num_patterns > options.split_patterns:
        plan = plan_reconstruction(
            scan,
            model.manifest,
            batch_size=options.batch_size,
            scale=options.scale,
            residual_patterns=options.residual_patterns,
        )
        return Split(plan, scan.num_patterns, perf_counter() - started_s)
    product = reconstruct(
        scan,
        model,
        batch_size=options.batch_size,
        scale=options.scale,
        residual_patterns=options.residual_patterns,
    )
    return _finish(order, product, num_parts=1, before_s=0.0, started_s=started_s)


def stitch_part(order: Order, split: Split, start: int, stop: int) -> Part:
    """Predict and stitch the groups from `start` to `stop` (exclusive) of a scan."""
    started_s = perf_counter()
    scan, model = _load(order), open_model(order)
    mosaic = Mosaic(canvas_for(scan), split.plan.weights())
    pipeline = pipeline_for(scan, model, split.plan, mosaic, part=slice(start, stop))
    *_, (num_used, _) = pipeline.run(1, None, None)
    work_s = perf_counter() - started_s
    return Part(mosaic.partial_sums, num_used, 1, pipeline.infer_s, work_s)


def merge_parts(a: Part, b: Part) -> Part:
    """Add up two parts."""
    return Part(
        a.sums + b.sums,
        a.num_patterns + b.num_patterns,
        a.num_parts + b.num_parts,
        a.infer_s + b.infer_s,
        a.work_s + b.work_s,
    )


def finish_parts(order: Order, split: Split, whole: Part) -> Record:
    """Make the product of a scan from the sum of its parts, and write it with its record."""
    started_s = perf_counter()
    scan, model = _load(order), open_model(order)
    mosaic = Mosaic(canvas_for(scan), split.plan.weights())
    mosaic.merge(whole.sums)
    before_s = split.work_s + whole.work_s
    product = make_product(
        scan,
        model,
        split.plan,
        mosaic.finish(),
        mosaic.canvas,
        num_used=whole.num_patterns,
        is_complete=whole.num_patterns == scan.num_patterns,
        infer_s=whole.infer_s,
        total_s=before_s + perf_counter() - started_s,
    )
    return _finish(
        order, product, num_parts=whole.num_parts, before_s=before_s, started_s=started_s
    )


def open_model(order: Order) -> Model:
    """Return the model of a fleet, whose session is started once in each worker process.

    Raises
    ------
    RuntimeError
        If the file is no longer the one that the fleet was started with.
    """
    with _opening:  # tasks of one process may ask at the same time
        return _open(
            order.model, order.model_digest, order.options.provider, order.options.num_threads
        )


@lru_cache(maxsize=1)
def _open(path: Path, digest: str, provider: str, num_threads: int) -> Model:
    model = Model(path, provider=provider, num_threads=num_threads, predictions_at_once=1)
    if model.digest != digest:
        raise RuntimeError(
            f"{path} changed while the fleet was running (sha256 {model.digest[:12]}, expected "
            f"{digest[:12]}); run the command again."
        )
    return model


def _load(order: Order) -> Scan:
    options = order.options
    return load_scan(order.scan, quantity=options.quantity, position_origin=options.position_origin)


def _finish(
    order: Order, product: Product, *, num_parts: int, before_s: float, started_s: float
) -> Record:
    """Write the product, then its record: a record without a product does not exist."""
    assert product.coverage is not None
    assert product.disagreement is not None
    save_product(product, product_path(order.folder, order.name))
    known = product.coverage > 0
    residual = product.metadata.get("residual")
    record = Record(
        name=order.name,
        scan=str(order.scan),
        status="done",
        fingerprint=order.fingerprint,
        num_patterns=len(product.corners_px),
        num_parts=num_parts,
        object_shape=product.object_.shape,
        coverage=float(known.mean()),
        disagreement=float(np.sqrt(product.disagreement[known].mean())) if known.any() else 0.0,
        residual=None if residual is None else float(residual),
        probe_source=str(product.metadata["probe_source"]),
        work_s=before_s + perf_counter() - started_s,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        thumbnail=thumbnail(product.object_, known),
    )
    write_record(record, order.folder)
    return record
