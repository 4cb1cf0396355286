"""All that `make gpu` looks at, in the order of its table.

What a provider does on a GPU is looked at on the CPU provider by the same function first, so that a
machine without a GPU finds what is wrong with the function.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ptychonyx.runtime.solving.options import NOISES

from . import locks, networks, sweeps, training
from .apart import Check, Task
from .places import CACHE, SMALL, untrained

CUDA, TENSORRT = "cuda", "tensorrt"
SIDES = (64, 128, 256)
MODES, FEW_MODES = (1, 2, 3, 4), (1, 3)
IN_FLOAT32 = {"NVIDIA_TF32_OVERRIDE": "0", "PTYCHONYX_CACHE": str(CACHE)}
"""For TensorRT: no sums in TF32, and engines where the second start looks for them."""
ENVIRONMENTS = ("runtime", "pytorch", "tensorflow")
NUM_SWEPT = {64: 2048, 128: 1024, 256: 512}
"""Side -> patterns of a pass whose speed is measured on a GPU."""
NUM_SWEPT_ON_CPU = {64: 32, 128: 16}
SMALL_SIDE = 64
"""N of the models in models/."""


def checks() -> tuple[Check, ...]:
    """Return all checks."""
    return (
        Check("starts", dict(_starts()), 40),
        Check("locks", dict(_pins()), 20),
        *(
            Check(f"cuda-{name}", _cuda_of(name), 30, needs_gpu=True, environment=name)
            for name in ENVIRONMENTS
        ),
        Check("network-cpu", dict(_networks("cpu")), 30),
        Check("sweep-cpu", dict(_sweeps("cpu", FEW_MODES)), 90),
        Check("network-cuda", dict(_networks(CUDA)), 30, needs_gpu=True),
        Check("sweep-cuda", dict(_sweeps(CUDA, MODES)), 40, needs_gpu=True),
        Check("places", dict(_places()), 20, needs_gpu=True),
        _tensorrt("engines", dict(_engines()), 80),
        _tensorrt("network-tensorrt", dict(_networks(TENSORRT)), 40),
        _tensorrt("sweep-tensorrt", dict(_sweeps(TENSORRT, FEW_MODES)), 90),
        Check("untrained", dict(_untrained()), 40, needs_gpu=True, environment="pytorch"),
        Check("speed-cpu", dict(_cpu_speeds()), 90),
        Check("speed-cuda", dict(_speeds(CUDA)), 45, needs_gpu=True),
        _tensorrt("speed-tensorrt", dict(_speeds(TENSORRT)), 80),
        Check("memory", dict(_memory()), 30, needs_gpu=True),
        *(
            Check(f"train-{name}", _trains(name), 60, needs_gpu=True, environment=name)
            for name in ("pytorch", "tensorflow")
        ),
    )


def _tensorrt(name: str, tasks: dict[str, Task], limit_s: float) -> Check:
    return Check(name, tasks, limit_s, needs_gpu=True, variables=IN_FLOAT32)


def _starts() -> Iterator[tuple[str, Task]]:
    for provider in (CUDA, TENSORRT):
        for what, start in (("network", networks.start_network), ("sweep", networks.start_sweep)):
            task = partial(networks.starts_or_says_why, provider, start)
            yield f"{provider}: asked for by name, {what}", task


def _pins() -> Iterator[tuple[str, Task]]:
    for name in ENVIRONMENTS:
        yield f"lock-gpu-{name}.txt: what it pins", partial(locks.pins_what_cuda_needs, name)


def _cuda_of(environment: str) -> dict[str, Task]:
    lock = f"lock-gpu-{environment}.txt"
    return {
        f"{lock}: is what is installed": partial(
            locks.environment_is_that_of_the_lock, environment
        ),
        f"{lock}: gives CUDA": partial(locks.gives_cuda, environment),
    }


def _networks(provider: str) -> Iterator[tuple[str, Task]]:
    for path in SMALL:
        what = f"{provider}: network {path.parent.name} proves itself"
        yield what, partial(networks.proves_itself, path, provider)
    if provider != "cpu":
        yield f"{provider}: network as on the CPU", partial(networks.agrees_with_the_cpu, provider)


def _sweeps(provider: str, num_modes: tuple[int, ...]) -> Iterator[tuple[str, Task]]:
    for side in SIDES[:2]:
        what = f"{provider}: sweep graph against float64, N = {side}"
        # an engine for each noise would take minutes
        noises = NOISES[:1] if provider == TENSORRT else NOISES
        yield what, partial(sweeps.agrees_with_float64, provider, side, noises, num_modes)
    yield f"{provider}: solve as with SciPy", partial(sweeps.solves_alike, provider)


def _speeds(provider: str) -> Iterator[tuple[str, Task]]:
    for side in SIDES:
        path = SMALL[0] if side == SMALL_SIDE else untrained(side)
        what = f"{provider}: speed of a network, N = {side}"
        yield what, partial(networks.network_speed, path, provider)
    for side, num in NUM_SWEPT.items():
        what = f"{provider}: speed of a pass, N = {side}"
        yield what, partial(sweeps.sweep_speed, provider, side, num)


def _cpu_speeds() -> Iterator[tuple[str, Task]]:
    """Yield what can be measured in seconds, for comparison."""
    what = f"cpu: speed of a network, N = {SMALL_SIDE}"
    yield what, partial(networks.network_speed, SMALL[0], "cpu")
    for name, provider in (("SciPy", None), ("cpu", "cpu")):
        for side, num in NUM_SWEPT_ON_CPU.items():
            what = f"{name}: speed of a pass, N = {side}"
            yield what, partial(sweeps.sweep_speed, provider, side, num)


def _untrained() -> Iterator[tuple[str, Task]]:
    for side in SIDES[1:]:
        yield f"untrained network, N = {side}", partial(networks.make_untrained, side)


def _trains(backend: str) -> dict[str, Task]:
    return {f"{backend}: training on the GPU": partial(training.trains_on_the_gpu, backend)}


def _places() -> Iterator[tuple[str, Task]]:
    yield "cuda: where the sweep graph runs", sweeps.whole_graph_is_on_the_gpu


def _engines() -> Iterator[tuple[str, Task]]:
    yield "tensorrt: engine kept for the second start", networks.engine_is_reused


def _memory() -> Iterator[tuple[str, Task]]:
    yield "cuda: memory of repeated solves", sweeps.memory_is_bounded
