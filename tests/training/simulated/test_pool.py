"""Scans of a pool go on from pass to pass, by what the network made of them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ptychonyx.training.distributed.launch import FORWARDED
from ptychonyx.training.simulated.draw import CANVAS_PX
from ptychonyx.training.simulated.pool import Batch, Pool, Trial, stack
from ptychonyx.training.simulated.supply import Supply


def nothing(batch: Batch) -> np.ndarray:
    return np.zeros_like(batch.objects)


def same(first: Batch, second: Batch) -> None:
    for name in ("features", "units", "objects", "truths", "weights", "stages"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def error(batch: Batch) -> float:
    """Return the mean error of the objects, with the phase of the truth."""
    object_, truth = (images[:, 0] + 1j * images[:, 1] for images in (batch.objects, batch.truths))
    turn = (batch.weights * truth.conj() * object_).sum(axis=(1, 2), keepdims=True)
    return float((batch.weights * np.abs(object_ - truth * turn / np.abs(turn)) ** 2).sum())


def test_a_seed_gives_the_same_batches() -> None:
    pools = [Pool([5], 2, 1) for _ in range(2)]
    for number in range(4):
        batches = [pool.batch(number) for pool in pools]
        same(*batches)
        for pool, batch in zip(pools, batches, strict=True):
            pool.advance(number, nothing(batch))


def test_groups_take_turns_and_advance_by_a_pass() -> None:
    pool = Pool([5], 2, 2)
    stages = []
    for number in range(6):
        batch = pool.batch(number)
        stages.append(batch.stages.tolist())
        pool.advance(number, nothing(batch))
    assert stages[0] == stages[1] == [1, 1]
    assert stages[2] == stages[3] == [2, 2]
    assert all(stage in (1, 3) for pair in stages[4:] for stage in pair)  # new ones begin again


def test_weights_sum_to_one_and_lie_on_the_canvas() -> None:
    batch = Pool([6], 2, 2).batch(0)
    assert batch.features.shape[2:] == (CANVAS_PX, CANVAS_PX)
    np.testing.assert_allclose(batch.weights.sum(axis=(1, 2)), 1, rtol=1e-4)


def test_the_correction_is_what_the_passes_go_on_from() -> None:
    with ThreadPoolExecutor(1) as threads:
        trials = [Trial(np.random.default_rng(8), threads, last_pass=9) for _ in range(2)]
        batch = stack(trials)
        truth = batch.truths[0] - batch.objects[0]
        assert trials[0].advance(truth)
        assert trials[1].advance(np.zeros_like(truth))
        helped, plain = stack(trials[:1]), stack(trials[1:])
        assert error(helped) < error(plain)
        assert helped.features[:, 6:8].any()  # the network sees what it has changed
        assert not plain.features[:, 6:8].any()


def test_a_scan_leaves_after_its_last_pass_or_when_it_goes_astray() -> None:
    with ThreadPoolExecutor(1) as threads:
        trial = Trial(np.random.default_rng(8), threads, last_pass=2)
        zeros = np.zeros((2, CANVAS_PX, CANVAS_PX), np.float32)
        assert [trial.advance(zeros) for _ in range(2)] == [True, False]
        astray = Trial(np.random.default_rng(8), threads, last_pass=9)
        assert not astray.advance(zeros + 100)


def test_processes_supply_what_their_pools_would() -> None:
    pools = [Pool([7, index], 2, 1) for index in range(2)]
    with Supply((7,), num_processes=2, num_groups=2, batch_size=1) as supply:
        for number in range(6):
            turn, pool = number // 2, pools[number % 2]
            batch = supply.next_batch()
            same(batch, pool.batch(turn))
            correction = nothing(batch) + np.float32(0.01)
            supply.correct(correction)
            pool.advance(turn, correction)


def test_a_signal_to_all_processes_leaves_those_that_simulate() -> None:
    # as a terminal's Ctrl-C and SLURM send it: the process that trains still ends its step
    with Supply((7,), num_processes=1, num_groups=2, batch_size=1) as supply:
        batch = supply.next_batch()
        [process] = supply._processes
        assert process.pid is not None
        for number in FORWARDED:
            os.kill(process.pid, number)
        supply.correct(nothing(batch))
        supply.next_batch()
        supply.correct(nothing(batch))
        supply.next_batch()  # was made after the signals


def test_a_process_that_is_gone_is_said() -> None:
    with Supply((7,), num_processes=1, num_groups=2, batch_size=1) as supply:
        supply.correct(nothing(supply.next_batch()))
        supply.next_batch()  # the next one needs what the network makes of this
        for process in supply._processes:
            process.kill()
        with pytest.raises(RuntimeError, match="simulates scans has ended"):
            supply.next_batch()
