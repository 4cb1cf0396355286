"""A provider that is asked for makes the passes, says so, and is refused if it computes wrongly."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.errors import ProviderError
from ptychonyx.runtime.model.start import start_graph, why_no_gpu
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.graph import comparer as module
from ptychonyx.runtime.solving.graph.comparer import (
    CHUNK_BYTES,
    LARGEST_CHUNK,
    GraphComparer,
    relative_difference,
)
from ptychonyx.runtime.solving.physics import comparing
from ptychonyx.runtime.solving.physics.exit_waves import Beam, make_beam

ort = pytest.importorskip("onnxruntime", reason="graphs run on onnxruntime")

SOLVES_DIFFER = 1e-3
"""Pixels where vacuum predicts nothing get their phase from rounding: a probe that differs by 1e-7
changes the solved object by 4e-4 with SciPy alone; seen were 1.6e-4 between both ways."""


@pytest.fixture(scope="module")
def scan() -> Scan:
    """An odd number of patterns, some pixels of which are bad."""
    spec = SimulationOptions(num_patterns=67, window_px=32, step_px=3, num_modes=2)
    made = simulate_scan(spec, np.random.default_rng(0))
    bad_pixels = np.random.default_rng(1).random((32, 32)) < 0.03
    return Scan(
        made.patterns,
        made.quantity,
        made.corners_px,
        made.probe,
        bad_pixels=bad_pixels,
        name="twin",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"noise": "poisson", "refine_probe": True},
        {"refine_probe": True, "num_modes": 3},
    ],
)
def test_a_whole_solve_differs_from_that_of_scipy_by_rounding_only(
    scan: Scan, changes: dict[str, Any]
) -> None:
    plain = solve(scan, SolvingOptions(passes=5, **changes))
    graph = solve(scan, SolvingOptions(passes=5, provider="cpu", **changes))
    assert relative_difference(graph.object_, plain.object_) < SOLVES_DIFFER
    assert relative_difference(graph.probe, plain.probe) < SOLVES_DIFFER
    assert graph.pass_residuals is not None
    assert plain.pass_residuals is not None
    np.testing.assert_allclose(graph.pass_residuals, plain.pass_residuals, rtol=SOLVES_DIFFER)


def test_the_product_names_the_providers_that_were_at_work(scan: Scan) -> None:
    graph = solve(scan, SolvingOptions(passes=1, provider="cpu"))
    assert graph.metadata["pass_providers"] == "CPUExecutionProvider"
    assert "pass_providers" not in solve(scan, SolvingOptions(passes=1)).metadata


@pytest.mark.parametrize(
    ("has_probe", "num_modes"), [(True, "auto"), (False, 1)], ids=["modes", "guess"]
)
def test_not_one_comparison_of_a_solve_is_left_to_scipy(
    small_scan: Scan, has_probe: bool, num_modes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("SciPy was asked")

    monkeypatch.setattr(comparing, "compare_batch", refuse)
    scan = replace(small_scan, probe=small_scan.probe if has_probe else None)
    product = solve(scan, SolvingOptions(passes=1, provider="cpu", num_modes=num_modes))
    assert len(product.probe) >= 1


@pytest.mark.skipif(why_no_gpu() is None, reason="this machine has an NVIDIA GPU")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_does_not_start_is_an_error(scan: Scan, provider: str) -> None:
    with pytest.raises(ProviderError, match=f"{provider} does not start: .*NVIDIA driver"):
        solve(scan, SolvingOptions(passes=1, provider=provider))


class Rounding:
    """A session whose results are rounded as TF32 rounds."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, names: list[str], feed: Any) -> list[NDArray[np.float32]]:
        return [
            (output.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
            for output in self._session.run(names, feed)
        ]


class NotANumber(Rounding):
    def run(self, names: list[str], feed: Any) -> list[NDArray[np.float32]]:
        return [output * np.float32("nan") for output in self._session.run(names, feed)]


@pytest.mark.parametrize("wrong", [Rounding, NotANumber])
def test_a_provider_that_computes_wrongly_is_refused(
    wrong: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_wrong(*arguments: Any, **options: Any) -> tuple[str, Any]:
        _, session = start_graph(*arguments, **options)
        return "tensorrt", wrong(session)

    monkeypatch.setattr(module, "start_graph", start_wrong)
    with pytest.raises(ProviderError, match=r"tensorrt does not compute .*NVIDIA_TF32_OVERRIDE=0"):
        GraphComparer("cpu", 32, "amplitude")


def test_a_failure_of_onnxruntime_is_named() -> None:
    comparer = GraphComparer("cpu", 16, "amplitude")
    beam = make_beam(np.ones((1, 8, 8), np.complex64))  # of another side
    with pytest.raises(RuntimeError, match="3 patterns could not be compared on cpu"):
        comparer.compare(
            beam,
            np.ones((3, 16, 16), np.complex64),
            np.zeros((3, 2)),
            np.ones((3, 16, 16), np.float32),
            good=None,
            noise="amplitude",
            with_probe=False,
        )


def test_chunks_stay_within_their_memory() -> None:
    comparer = GraphComparer("cpu", 16, "amplitude")
    for num_modes, side in ((1, 64), (4, 128), (8, 512), (8, 4096)):
        modes = np.broadcast_to(np.complex64(1), (num_modes, side, side))
        beam = Beam(modes, modes, np.ones((side, side), np.float32))
        size = comparer.chunk(beam)
        assert 1 <= size <= LARGEST_CHUNK
        assert size == 1 or size * beam.modes.nbytes <= CHUNK_BYTES


def test_threads_that_ask_at_the_same_time_get_their_own_answers() -> None:
    comparer = GraphComparer("cpu", 16, "amplitude")
    rng = np.random.default_rng(0)
    beam = make_beam(rng.random((2, 16, 16)).astype(np.complex64))
    windows = rng.random((40, 3, 16, 16)).astype(np.complex64)

    def compare(chunk: NDArray[np.complex64]) -> NDArray[np.complex64]:
        return comparer.compare(
            beam,
            chunk,
            np.zeros((3, 2)),
            np.ones((3, 16, 16), np.float32),
            good=None,
            noise="amplitude",
            with_probe=True,
        ).object_

    expected = [compare(chunk) for chunk in windows]
    with ThreadPoolExecutor(4) as pool:
        for found, alone in zip(pool.map(compare, windows), expected, strict=True):
            np.testing.assert_array_equal(found, alone)
