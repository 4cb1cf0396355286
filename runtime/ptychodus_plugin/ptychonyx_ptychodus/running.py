"""Run the work of a reconstructor: yield products, log, stop, leave the last one under its name."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ptychodus.api.product import LossValue
from ptychodus.api.reconstruct import ReconstructInput, ReconstructOutput

from ptychonyx.runtime import ReconstructionOptions, SolvingOptions
from ptychonyx.runtime.belief import judge, needs, with_verdict
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.plausibility import log_findings, look_at
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct_in_steps
from ptychonyx.runtime.reconstruction.trust import judge_network
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.network.correction import Network
from ptychonyx.runtime.solving.steps import Step, solve_in_steps

from .convert import to_ptychodus, to_scan

_logger = logging.getLogger("ptychonyx.ptychodus")

PROGRESS_GOAL = 100
"""Progress is in percent; the last of the yields has this number."""
NUM_STEPS = 5
"""Ptychodus redraws the product, and in batch mode writes it, at each yield."""
LAST_CHECKPOINT, PRODUCT = f"product.{PROGRESS_GOAL:06d}.h5", "product.h5"

Outputs = Generator[ReconstructOutput, None, None]


def reconstruct(
    parameters: ReconstructInput,
    model: Model,
    options: ReconstructionOptions,
    losses: Sequence[LossValue] = (),
) -> Outputs:
    """Reconstruct, and yield the product a few times as it grows, with the progress in percent.

    What is odd about the scan, and why a result should not be believed, goes into the log.
    """
    scan = _plausible(parameters)
    percent = 0

    def count(done: int, num: int) -> None:
        nonlocal percent
        percent = PROGRESS_GOAL * done // num

    steps = reconstruct_in_steps(scan, model, options, num_steps=NUM_STEPS, progress=count)
    with closing(steps):
        for product in steps:
            output = to_ptychodus(product, parameters.product, losses)
            yield ReconstructOutput(output, progress=percent)
    _warn(judge_network(product, scan, model.manifest))
    _logger.info(
        "Reconstructed %d patterns on %s in %.2f s.",
        scan.num_patterns,
        model.provider,
        product.metadata["total_s"],
    )


def solve(
    parameters: ReconstructInput, options: SolvingOptions, network: Network | None = None
) -> Outputs:
    """Solve by passes, and yield the product after each of them, with their residuals as losses.

    While it is being found out how many passes the scan bears, what was given is yielded, so that
    Ptychodus can stop it.
    """
    steps = solve_in_steps(_plausible(parameters), options, network=network)
    with closing(steps):
        for step in steps:
            _log(step)
            product = parameters.product
            if step.product is not None:
                product = to_ptychodus(step.product, product, _losses(step.product))
            yield ReconstructOutput(product, progress=_percent(step))


def _losses(product: Product) -> list[LossValue]:
    assert product.pass_residuals is not None
    return [LossValue(*each) for each in enumerate(product.pass_residuals.tolist(), 1)]


def _percent(step: Step) -> int:
    """Return the progress of passes; only the whole product has all of it."""
    if step.product is None:
        return 0
    if step.product.complete:
        return PROGRESS_GOAL
    return min(PROGRESS_GOAL - 1, PROGRESS_GOAL * step.num_done // step.num_passes)


def _log(step: Step) -> None:
    if step.product is None:
        text = "Looking how many passes the scan bears: pass %d leaves %.2f %% unexplained."
        _logger.info(text, step.num_passes, 100 * step.residual)
    elif step.product.complete:
        _log_outcome(step.product)
    else:
        text = "Pass %d leaves %.2f %% unexplained."
        _logger.info(text, step.num_done, 100 * step.residual)


def _log_outcome(product: Product) -> None:
    metadata = product.metadata
    _logger.info(
        "Solved %d patterns by %d passes in %.2f s: %s.",
        product.num_patterns_used,
        metadata["passes"],
        metadata["total_s"],
        metadata["stopped"],
    )
    if "use_of_network" in metadata:
        _logger.info("The network between passes was %s.", metadata["use_of_network"])
    _warn(with_verdict(product))


def _plausible(parameters: ReconstructInput) -> Scan:
    """Return what was given without what is of no use, and log what is odd about it."""
    given = to_scan(parameters)
    checked = look_at(given)
    log_findings(checked.findings, given.name)
    return checked.scan


def _warn(product: Product) -> None:
    for need in needs(product):
        _logger.warning("NEEDED: %s", need)
    for finding in judge(product):
        _logger.warning("NOT BELIEVABLE: %s", finding)


class Awaited:
    """Folders in which others wait for product.h5.

    Ptychodus only writes product.NNNNNN.h5, one at each yield; a folder that others watch needs the
    plain name, and only once the file is whole.
    """

    def __init__(self) -> None:
        self._folders: set[Path] = set()

    def add(self, folder: Path) -> None:
        """Wait for the last checkpoint that Ptychodus will write in `folder`."""
        (folder / LAST_CHECKPOINT).unlink(missing_ok=True)
        self._folders.add(folder)

    def publish(self) -> None:
        """Rename the last checkpoints that are there."""
        for folder in sorted(self._folders):
            if (folder / LAST_CHECKPOINT).is_file():
                os.replace(folder / LAST_CHECKPOINT, folder / PRODUCT)
                self._folders.discard(folder)


def until_stopped(outputs: Outputs) -> Outputs:
    """Pass outputs on; Ptychodus stops them by closing the generator, which is said."""
    percent = 0
    with closing(outputs):
        try:
            for output in outputs:
                percent = output.progress
                yield output
        except GeneratorExit:
            _logger.info("Reconstruction stopped at %d %%.", percent)
            raise


@contextmanager
def logged(what: str) -> Iterator[None]:
    """Write an error as one line into the log that Ptychodus shows, and let it go on.

    Ptychodus itself logs the traceback.
    """
    try:
        yield
    except Exception as error:
        _logger.error("%s failed: %s", what, error)  # noqa: TRY400
        raise
