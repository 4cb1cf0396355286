"""The tasks of a fleet's workers: plain functions, which know nothing of Dask."""

from __future__ import annotations

import math
import os
import socket
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..belief import needs
from ..files import digest_of
from ..formats import load_scan, save_product
from ..formats.options import ScanOptions
from ..model.session import Model
from ..plausibility import Finding, Repairs, make_plausible
from ..product import Product
from ..reconstruction.pipeline import Pipeline
from ..reconstruction.plan import Plan, plan_reconstruction
from ..reconstruction.recipe import Recipe
from ..reconstruction.reconstruct import Outcome, make_product
from ..reconstruction.run import follow
from ..reconstruction.trust import judge_network
from ..scan import Scan
from ..solving.shares.beginning import can_share
from ..solving.solve import solve
from ..stitching.mosaic import Mosaic, PartialSums, Stitched
from ..turns import NO_TURN, Turn
from .record import Fingerprint, Record, finished_record, product_path, write_record
from .report import thumbnail

NO_REPAIRS = Repairs()
DEFAULT_SPLIT_PATTERNS = 20_000
"""A minute or two of one core: long enough for a task, short enough to lose."""

_opening = Lock()


@dataclass(frozen=True)
class Order:
    """One scan to be reconstructed: paths that every worker sees, and how.

    Attributes
    ----------
    name : str
        Name of the scan in its fleet, and of its product.
    scan, folder : Path
        The scan, the folder of the products.
    fingerprint : dict
        All that decides the product, see `record.fingerprint_of`.
    model : Path or None
        The model file; None: the scan is solved by passes.
    model_digest : str or None
        sha256 of the model file.
    scan_options : ScanOptions
    recipe : Recipe
    num_threads : int
        Threads of one prediction on the CPU.
    split_patterns : int
        A scan with more patterns is split into parts of at most so many, see `is_split`.
    turn : Turn
        How patterns and positions are turned each time the scan is loaded.
    accept : tuple of str
        Findings with a scan that are right all the same.
    repairs : Repairs
        What is done to the scan each time it is loaded; known once a task has looked at all of it.
    findings : tuple of Finding
        What was found wrong with the scan; known once the scan is.
    """

    name: str
    scan: Path
    folder: Path
    fingerprint: Fingerprint
    model: Path | None
    model_digest: str | None
    scan_options: ScanOptions
    recipe: Recipe
    num_threads: int = 1
    split_patterns: int = DEFAULT_SPLIT_PATTERNS
    turn: Turn = NO_TURN
    accept: tuple[str, ...] = ()
    repairs: Repairs = NO_REPAIRS
    findings: tuple[Finding, ...] = ()

    def is_split(self, num_patterns: int) -> bool:
        """Tell whether several workers share a scan of so many patterns.

        Passes after a network are made by one worker, and so are some others, see `can_share`.
        """
        if num_patterns <= self.split_patterns:
            return False
        if self.model is None:
            return can_share(self.recipe.solving)
        return self.recipe.refine_passes is None

    def finished(self) -> Record | None:
        """Return the record of the scan if its product is there, made as this order has it.

        Whether passes were shared decides about their product; into how many parts does not.
        """
        record = finished_record(self.folder, self.name, self.fingerprint)
        if record is None or self.model is not None:
            return record
        is_alike = self.is_split(record.num_patterns) == (record.num_parts > 1)
        return record if is_alike else None


def num_parts_of(order: Order, num_patterns: int) -> int:
    """Return into how many parts a scan is split."""
    return math.ceil(num_patterns / order.split_patterns)


@dataclass(frozen=True)
class ToShare:
    """A scan that is too large for one task, and will be solved by passes of several workers."""

    repairs: Repairs
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Split:
    """A scan that is too large for one task, and how its parts are reconstructed."""

    plan: Plan
    num_patterns: int
    work_s: float
    repairs: Repairs
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Part:
    """The sums of a part of a scan, stitched by one worker or merged from several."""

    sums: PartialSums
    num_patterns: int
    num_parts: int
    infer_s: float
    work_s: float


@dataclass(frozen=True)
class Reference:
    """The object of a first pass over a split scan, and what that pass took."""

    object_: NDArray[np.complex64]
    infer_s: float
    work_s: float


def reconstruct_scan(order: Order) -> Record | Split | ToShare:
    """Reconstruct a scan and write product and record, or say how to split it.

    A scan that another worker has finished, and then died before it could say so, is not
    reconstructed again.
    """
    finished = order.finished()
    if finished is not None:
        return finished
    started_s = perf_counter()
    checked = make_plausible(load(order), order.accept)
    scan = checked.scan
    seen = replace(order, repairs=checked.repairs, findings=checked.findings)
    model = None if order.model is None else open_model(order)
    if order.is_split(scan.num_patterns):
        if model is None:
            return ToShare(checked.repairs, checked.findings)
        options = order.recipe.network.tuned(model.digest)
        plan = plan_reconstruction(scan, model.manifest, options)
        worked_s = perf_counter() - started_s
        return Split(plan, scan.num_patterns, worked_s, checked.repairs, checked.findings)
    solver = partial(solve, num_threads=order.num_threads)
    product = follow(scan, model, order.recipe, solver=solver, num_threads=order.num_threads)
    return finish_scan(seen, product, num_parts=1, before_s=0.0, started_s=started_s)


def stitch_part(
    order: Order, split: Split, start: int, stop: int, reference: Reference | None = None
) -> Part:
    """Predict and stitch the groups from `start` to `stop` (exclusive) of a scan.

    In a second pass, `reference` is the object of the first, to which phases are aligned.
    """
    started_s = perf_counter()
    scan, model, plan = load(order), open_model(order), split.plan
    known = None if reference is None else reference.object_
    mosaic = Mosaic(plan.canvas, plan.patch_weights(), reference=known)
    pipeline = Pipeline(scan, model, plan, mosaic, part=slice(start, stop))
    *_, (num_used, _) = pipeline.run(1, None, None)
    work_s = perf_counter() - started_s
    return Part(mosaic.partial_sums, num_used, 1, pipeline.infer_s, work_s)


def make_reference(split: Split, whole: Part) -> Reference:
    """Return the object of a first pass, from the sum of its parts."""
    started_s = perf_counter()
    object_ = _stitched(split, whole).object_
    return Reference(object_, whole.infer_s, whole.work_s + perf_counter() - started_s)


def merge_parts(a: Part, b: Part) -> Part:
    """Add up two parts."""
    return Part(
        a.sums + b.sums,
        a.num_patterns + b.num_patterns,
        a.num_parts + b.num_parts,
        a.infer_s + b.infer_s,
        a.work_s + b.work_s,
    )


def finish_parts(
    order: Order, split: Split, whole: Part, reference: Reference | None = None
) -> Record:
    """Make the product of a scan from the sum of its parts, and write it with its record."""
    started_s = perf_counter()
    scan, model = load(order), open_model(order)
    stitched = _stitched(split, whole)
    first_s = (0.0, 0.0) if reference is None else (reference.infer_s, reference.work_s)
    before_s = split.work_s + whole.work_s + first_s[1]
    outcome = Outcome(
        stitched,
        num_used=whole.num_patterns,
        is_complete=whole.num_patterns == scan.num_patterns,
        infer_s=whole.infer_s + first_s[0],
        total_s=before_s + perf_counter() - started_s,
    )
    product = make_product(scan, model, split.plan, outcome)
    product = judge_network(product, scan, model.manifest, num_threads=order.num_threads)
    return finish_scan(
        order, product, num_parts=whole.num_parts, before_s=before_s, started_s=started_s
    )


def _stitched(split: Split, whole: Part) -> Stitched:
    mosaic = Mosaic(split.plan.canvas, split.plan.patch_weights())
    mosaic.merge(whole.sums)
    return mosaic.finish()


def open_model(order: Order) -> Model:
    """Return the model of a fleet, whose session is started once in each worker process.

    Raises
    ------
    RuntimeError
        If the file is no longer the one that the fleet was started with.
    """
    assert order.model is not None
    assert order.model_digest is not None
    with _opening:  # tasks of one process may ask at the same time
        provider = order.recipe.network.tuned(order.model_digest).provider
        return _open(order.model, order.model_digest, provider, order.num_threads)


@lru_cache(maxsize=1)
def _open(path: Path, digest: str, provider: str, num_threads: int) -> Model:
    model = Model(path, provider=provider, num_threads=num_threads, predictions_at_once=1)
    if model.digest != digest:
        raise RuntimeError(
            f"{path} changed while the fleet was running (sha256 {model.digest[:12]}, expected "
            f"{digest[:12]}); run the command again."
        )
    return model


def load(order: Order) -> Scan:
    """Open the scan of an order, turned, and without what was found to be of no use."""
    choices = order.scan_options
    scan = load_scan(
        order.scan,
        quantity=choices.quantity,
        position_origin=choices.position_origin,
        pattern_axis=choices.pattern_axis,
        map_path=choices.map_path,
        keys=dict(choices.keys),
        crop_px=choices.crop_px,
        bin=choices.bin,
    )
    return order.repairs.apply(order.turn.apply(scan))


def finish_scan(
    order: Order, product: Product, *, num_parts: int, before_s: float, started_s: float
) -> Record:
    """Write the product, then its record: a record without a product does not exist."""
    assert product.coverage is not None
    path = product_path(order.folder, order.name)
    save_product(product, path)
    known = product.coverage > 0
    residual, passes = (product.metadata.get(name) for name in ("residual", "passes"))
    record = Record(
        name=order.name,
        scan=str(order.scan),
        status="done",
        fingerprint=order.fingerprint,
        product_digest=digest_of(path),
        num_patterns=len(product.corners_px),
        num_parts=num_parts,
        object_shape=product.object_.shape,
        coverage=float(known.mean()),
        disagreement=_disagreement(product, known),
        residual=None if residual is None else float(residual),
        method=str(product.metadata["method"]),
        passes=None if passes is None else int(passes),
        probe_source=str(product.metadata["probe_source"]),
        needed=" ".join(str(each) for each in needs(product)),
        doubt=str(product.metadata.get("believable_reasons", "")),
        findings=" ".join(str(each) for each in order.findings if each.name not in order.accept),
        work_s=before_s + perf_counter() - started_s,
        worker=this_worker(),
        thumbnail=thumbnail(product.object_, known),
    )
    write_record(record, order.folder)
    return record


def _disagreement(product: Product, known: NDArray[np.bool_]) -> float | None:
    if product.disagreement is None:
        return None
    return float(np.sqrt(product.disagreement[known].mean())) if known.any() else 0.0


def this_worker() -> str:
    """Return host and process of this worker."""
    return f"{socket.gethostname()}:{os.getpid()}"
