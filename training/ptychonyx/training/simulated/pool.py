"""A pool of scans, each at another stage of being solved by the network that is being trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.solving.network.correction import corrected, features_after
from ptychonyx.runtime.solving.network.features import NUM_FEATURES, Features
from ptychonyx.runtime.solving.network.trust import need_of, weighed
from ptychonyx.runtime.solving.passes import Passer
from ptychonyx.runtime.solving.physics.exit_waves import make_beam
from ptychonyx.runtime.solving.physics.sweep import State, first_step_of, start_state
from ptychonyx.runtime.solving.probe.freedom import center_of
from ptychonyx.runtime.solving.start import vacuum

from .draw import CANVAS_PX, DrawnScan, draw_scan
from .poorer import STRIDE_PX, GoodScan, draw_poorer

LAST_PASSES = (2, 4, 7, 12, 20, 40)
LAST_PASS_SHARES = (0.2, 0.2, 0.2, 0.2, 0.12, 0.08)
"""After how many passes a scan leaves the pool, and how often that is drawn."""
GOOD_SHARE = 0.5
"""Share of the scans that are made of measured ones, if there are some."""
WORST_RESIDUAL = 5.0
LARGEST_AMPLITUDE = 8.0
"""A scan whose object or residual is beyond these has gone astray, and is replaced."""

Complex = NDArray[np.complex64]
Draw = Callable[[np.random.Generator], DrawnScan]


@dataclass(frozen=True)
class Batch:
    """Hold what one training step needs of several scans, each on a canvas of S×S pixels.

    Complex images are two real ones, on axis 1.

    Attributes
    ----------
    features : float32 array, shape (B, NUM_FEATURES, S, S)
    units : float32 array, shape (B,)
        What a correction of 1 means in each scan, as a transmission.
    objects : float32 array, shape (B, 2, S, S)
        After the pass, before the network's correction.
    truths : float32 array, shape (B, 2, S, S)
    weights : float32 array, shape (B, S, S)
        Their sum over a scan is 1.
    stages : int64 array, shape (B,)
        Number of the pass.
    """

    features: NDArray[np.float32]
    units: NDArray[np.float32]
    objects: NDArray[np.float32]
    truths: NDArray[np.float32]
    weights: NDArray[np.float32]
    stages: NDArray[np.int64]


class Trial:
    """One scan that is being solved, and where its passes stand.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the scan and its batches.
    threads : ThreadPoolExecutor
        Computes the passes.
    last_pass : int, optional
        When it is done; drawn by default.
    draw : callable
        Draws the scan.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        threads: ThreadPoolExecutor,
        last_pass: int | None = None,
        draw: Draw = draw_scan,
    ) -> None:
        self.scan = draw(rng)
        self.last_pass = last_pass or int(rng.choice(LAST_PASSES, p=LAST_PASS_SHARES))
        intensity = make_beam(self.scan.probe).intensity
        power = float(intensity.sum())
        self._passer = Passer(threads, False, 0, power, center_of(intensity), is_parallel=True)
        problem = self.scan.problem
        object_ = vacuum(problem.placement, power / float(problem.measured.counts.mean()))
        first_step = first_step_of(problem, object_, self.scan.probe)
        self.before = start_state(object_, self.scan.probe, first_step)
        self._problem = weighed(problem, need_of(problem, self.before))
        self.after, self.features = self._pass()

    def _pass(self) -> tuple[State, Features]:
        after = self._passer.step(self._problem, self.before)
        return after, features_after(self._problem, self.before, after)

    def advance(self, images: NDArray[np.float32]) -> bool:
        """Correct the object by (2, S, S), pass once more; tell whether there is more to do."""
        after = self.after
        height, width = after.object_.shape
        real, imaginary = images[:, :height, :width]
        correction = (real + 1j * imaginary).astype(np.complex64)
        self.before = corrected(self.before, after, correction)
        if self.before.num_passes >= self.last_pass or not self._is_sane():
            return False
        self.after, self.features = self._pass()
        return True

    def _is_sane(self) -> bool:
        before = self.before
        largest = float(np.abs(before.object_).max())
        return before.residual < WORST_RESIDUAL and largest < LARGEST_AMPLITUDE


class Pool:
    """Several groups of scans; each batch is one group, in turn.

    Parameters
    ----------
    seed : sequence of int
        Decides everything that is drawn.
    num_groups, batch_size : int
    good_scans : sequence of GoodScan
        Measured scans, of which half of the scans are made; if there are none, all are simulated.
    """

    def __init__(
        self,
        seed: Sequence[int],
        num_groups: int,
        batch_size: int,
        good_scans: Sequence[GoodScan] = (),
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._threads = ThreadPoolExecutor(1)
        self._num_groups, self._batch_size = num_groups, batch_size
        self._good_scans = good_scans
        self._groups: list[list[Trial]] = []

    def _new(self) -> Trial:
        while True:
            try:
                trial = Trial(self._rng, self._threads, draw=self._draw)
            except ScanError:  # no counts at all
                continue
            if trial.after.residual < WORST_RESIDUAL:
                return trial

    def _draw(self, rng: np.random.Generator) -> DrawnScan:
        if not self._good_scans or rng.random() >= GOOD_SHARE:
            return draw_scan(rng)
        return draw_poorer(self._good_scans[int(rng.integers(len(self._good_scans)))], rng)

    def batch(self, number: int) -> Batch:
        """Return what the training step of this number needs."""
        if number < self._num_groups:  # drawn when it is needed: the first batch must not wait
            self._groups.append([self._new() for _ in range(self._batch_size)])
        return stack(self._groups[number % self._num_groups])

    def advance(self, number: int, corrections: NDArray[np.float32]) -> None:
        """Correct the scans of a batch, shape (B, 2, S, S), and replace those that are done."""
        group = self._groups[number % self._num_groups]
        for place, (trial, images) in enumerate(zip(group, corrections, strict=True)):
            if not trial.advance(images):
                group[place] = self._new()


def stack(trials: Sequence[Trial]) -> Batch:
    """Return what the network needs of some trials, each in the corner of a square canvas."""
    num, side = len(trials), max(CANVAS_PX, *(_needed_px(trial) for trial in trials))
    features = np.zeros((num, NUM_FEATURES, side, side), np.float32)
    objects = np.zeros((num, 2, side, side), np.float32)
    truths, weights = np.zeros_like(objects), np.zeros((num, side, side), np.float32)
    for index, trial in enumerate(trials):
        height, width = trial.scan.problem.placement.shape
        part = (index, ..., slice(height), slice(width))
        features[part] = trial.features.images
        objects[part] = _pair(trial.after.object_)
        truths[part] = _pair(trial.scan.truth)
        weights[part] = trial.scan.weights / trial.scan.weights.sum()
    units = np.array([trial.features.unit for trial in trials], np.float32)
    stages = np.array([trial.after.num_passes for trial in trials])
    return Batch(features, units, objects, truths, weights, stages)


def _needed_px(trial: Trial) -> int:
    """Return the side of a canvas that its scan needs, in steps of the largest stride."""
    longest = max(trial.scan.problem.placement.shape)
    return -(-longest // STRIDE_PX) * STRIDE_PX


def _pair(image: Complex) -> NDArray[np.float32]:
    return np.stack([image.real, image.imag])
