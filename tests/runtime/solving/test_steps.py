"""A host is given the product after each pass, and decides whether there is a next one."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from ptychonyx.runtime import Scan, SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.errors import OverlapError
from ptychonyx.runtime.solving.steps import solve_in_steps


def make_scan(**changes: float) -> Scan:
    spec = {"num_patterns": 36, "window_px": 32, "step_px": 3, "num_modes": 1} | changes
    return simulate_scan(SimulationOptions(**spec), np.random.default_rng(0))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scan() -> Scan:
    return make_scan()


def test_the_last_step_is_what_solve_returns(scan: Scan) -> None:
    options = SolvingOptions(passes=3, refine_probe=True)
    *passes, last = solve_in_steps(scan, options)
    whole = solve(scan, options)
    assert last.product is not None
    np.testing.assert_array_equal(last.product.object_, whole.object_)
    np.testing.assert_array_equal(last.product.probe, whole.probe)
    assert last.product.metadata["residual"] == whole.metadata["residual"]
    assert [(step.num_done, step.num_passes) for step in passes] == [(1, 3), (2, 3), (3, 3)]
    for step in passes:
        assert step.product is not None
        assert not step.product.complete
        assert step.product.pass_residuals is not None
        assert len(step.product.pass_residuals) == step.num_done
        assert step.product.pass_residuals[-1] == step.residual


def test_an_early_step_is_the_product_of_so_many_passes(scan: Scan) -> None:
    first, *_ = solve_in_steps(scan, SolvingOptions(passes=3))
    one = solve(scan, SolvingOptions(passes=1))
    assert first.product is not None
    np.testing.assert_array_equal(first.product.object_, one.object_)


def test_passes_of_a_trial_are_steps_without_a_product() -> None:
    steps = list(solve_in_steps(make_scan(counts_per_pattern=500), SolvingOptions(solver="none")))
    trial = [step for step in steps if step.product is None]
    assert [step.num_passes for step in trial] == list(range(1, len(trial) + 1))
    assert len(trial) > 0
    assert steps[: len(trial)] == trial
    assert steps[len(trial)].num_done == 1


def test_a_closed_generator_makes_no_more_passes(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptychonyx.runtime.solving.passes import Passer

    begun: list[int] = []
    step = Passer.step

    def counted(self: Passer, problem: object, state: object, stop: object = None) -> object:
        begun.append(1)
        return step(self, problem, state, stop)  # type: ignore[arg-type]

    monkeypatch.setattr(Passer, "step", counted)
    steps = solve_in_steps(scan, SolvingOptions(passes=50, solver="none"))
    for _ in range(2):
        next(steps)
    assert len(begun) == 2  # nothing runs ahead
    before = threading.active_count()
    steps.close()
    assert len(begun) <= 3  # the third one ends with its first batch
    assert threading.active_count() < before


def test_a_trial_can_be_closed() -> None:
    before = threading.active_count()
    steps = solve_in_steps(make_scan(counts_per_pattern=500), SolvingOptions(solver="none"))
    assert next(steps).product is None
    steps.close()
    assert threading.active_count() == before


def test_a_process_ends_though_nobody_closed_the_generator() -> None:
    code = """
import numpy as np
from ptychonyx.runtime import SimulationOptions, SolvingOptions, simulate_scan, solve_in_steps
scan = simulate_scan(SimulationOptions(num_patterns=16, window_px=32), np.random.default_rng(0))
steps = solve_in_steps(scan, SolvingOptions(passes=50, solver="none"))
print(next(steps).num_done)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout == "1\n"


def test_what_fails_is_raised_to_the_host() -> None:
    with pytest.raises(OverlapError, match="hardly overlap"):
        list(solve_in_steps(make_scan(step_px=40), SolvingOptions(passes=2)))
