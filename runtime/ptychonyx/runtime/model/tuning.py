"""How fast a model runs on this machine, and which settings were fastest, remembered."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ProviderError
from ..files import cache_folder, write_text
from .binding import BATCH_SIZES
from .cores import num_cores
from .manifest.checks import POSITIVE, one_of, whole
from .providers import PROVIDERS
from .session import Model
from .start import import_onnxruntime

Key = TypeVar("Key")

SECONDS_EACH = 2.0
"""Time spent on each combination."""
FEWEST_RUNS = 5
"""Each combination runs at least so often, however long that takes."""
NEARLY_AS_FAST = 0.98
"""Among settings within 2 % of the fastest, the smallest batch wins: less memory, and sooner to stop."""
FILE_NAME = "benchmarks.json"
YARDSTICK_SIDE = 2048
YARDSTICK = Path(__file__).with_name("matmul.onnx")
"""An ONNX file of one operator: `c` is the product of the square matrices `a` and `b`."""


@dataclass(frozen=True)
class Setting:
    """The settings with which a model runs on a machine."""

    provider: str
    num_threads: int
    batch_size: int


@dataclass(frozen=True)
class Measurement:
    """How fast a model ran with a setting.

    Attributes
    ----------
    setting : Setting
    patterns_per_s : float
        From the median time of a batch.
    p50_ms, p99_ms : float
        Median and 99th percentile of the time of a batch.
    percent_of_peak : float or None
        Operations a second of the native network, as a percentage of those of one large matrix
        product that took turns with it on as many threads. None for a model that does not tell its
        operations. More than 100 is possible, for the exported network needs fewer.
    """

    setting: Setting
    patterns_per_s: float
    p50_ms: float
    p99_ms: float
    percent_of_peak: float | None


class MatrixProduct:
    """Multiply two square float32 matrices on threads of the CPU: the yardstick of a machine.

    Parameters
    ----------
    num_threads : int
    side : int
        Side of the matrices.

    Attributes
    ----------
    num_operations : int
        Multiplications and additions of one product.
    """

    def __init__(self, num_threads: int, *, side: int = YARDSTICK_SIDE) -> None:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 4
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = ort.InferenceSession(
            YARDSTICK.read_bytes(), sess_options=options, providers=["CPUExecutionProvider"]
        )
        rng = np.random.default_rng(0)
        self._feed = {name: rng.random((side, side), dtype=np.float32) for name in ("a", "b")}
        self.num_operations = 2 * side**3

    def run(self) -> object:
        """Compute the product once."""
        return self._session.run(None, self._feed)


def benchmark(
    path: str | Path,
    *,
    providers: Sequence[str] | None = None,
    batches: Sequence[int] = BATCH_SIZES,
    threads: Sequence[int] | None = None,
    seconds_each: float = SECONDS_EACH,
    progress: Callable[[float], None] | None = None,
    yardstick: Callable[[int], MatrixProduct] = MatrixProduct,
) -> list[Measurement]:
    """Measure a model file on this machine.

    All combinations take turns, one batch each; see `take_turns`.

    Parameters
    ----------
    path : path
        The model file.
    providers : sequence of str, optional
        Execution providers; by default all that start here.
    batches, threads : sequences of int
        Batch sizes and numbers of threads; by default one thread and all cores.
    seconds_each : float
        Time spent on each combination.
    progress : callable, optional
        Called with the share that is done.
    yardstick : callable
        Makes the matrix product for a number of threads.

    Returns
    -------
    list of Measurement
        Fastest first.

    Raises
    ------
    ManifestError, ProviderError
        As `Model` raises them, for a provider that was asked for.
    ValueError
        If a number is below 1.
    """
    for name, values in (("batches", batches), ("threads", threads or ())):
        if any(value < 1 for value in values) or not len(batches):
            raise ValueError(f"`{name}` is {list(values)}; give numbers of 1 or more.")
    threads = threads or sorted({1, num_cores()})
    models = _start(path, providers, threads)
    peaks = {num: yardstick(num) for num in threads}
    runs: dict[Setting | int, Callable[[], object]] = {num: peaks[num].run for num in threads}
    for (name, num), model in models.items():
        runs |= {Setting(name, num, batch): _prediction(model, batch) for batch in batches}
    num_settings = len(runs) - len(peaks)
    times = take_turns(runs, seconds=seconds_each * num_settings, progress=progress)
    (first, *_) = models.values()
    measured = [
        _measurement(
            setting,
            np.array(seconds),
            num_operations=first.manifest.num_operations,
            num_channels=first.manifest.num_channels,
            peak_per_s=peaks[setting.num_threads].num_operations / min(times[setting.num_threads]),
        )
        for setting, seconds in times.items()
        if isinstance(setting, Setting)
    ]
    return sorted(measured, key=lambda each: -each.patterns_per_s)


def take_turns(
    runs: Mapping[Key, Callable[[], object]],
    *,
    seconds: float,
    progress: Callable[[float], None] | None = None,
) -> dict[Key, list[float]]:
    """Time some functions, one call of each after the other, again and again.

    Whatever else the machine does then slows all of them alike.

    Parameters
    ----------
    runs : mapping of any key to a function without arguments
        Each is called once before, untimed: buffers, kernels and engines are made then.
    seconds : float
        Time for all of them; each is called at least `FEWEST_RUNS` times.
    progress : callable, optional
        Called after each turn with the share of the time that has passed.

    Returns
    -------
    dict of key to list of float
        Seconds of each call.

    Examples
    --------
    >>> times = take_turns({"sum": lambda: sum(range(100)), "nothing": lambda: None}, seconds=0.0)
    >>> {name: len(seconds) for name, seconds in times.items()}
    {'sum': 5, 'nothing': 5}
    """
    times: dict[Key, list[float]] = {key: [] for key in runs}
    for run in runs.values():
        run()
    started, num_turns = perf_counter(), 0
    while (waited := perf_counter() - started) < seconds or num_turns < FEWEST_RUNS:
        for key, run in runs.items():
            times[key].append(_seconds(run))
        num_turns += 1
        if progress is not None:
            progress(min(1.0, waited / seconds) if seconds > 0 else 1.0)
    return times


def best(measured: Sequence[Measurement]) -> Measurement:
    """Return the fastest, or of those nearly as fast the one with the smallest batch."""
    limit = NEARLY_AS_FAST * max(each.patterns_per_s for each in measured)
    good = [each for each in measured if each.patterns_per_s >= limit]
    return min(good, key=lambda each: (each.setting.batch_size, -each.patterns_per_s))


def remember(digest: str, measured: Sequence[Measurement]) -> Path:
    """Keep the best setting of each provider, for this model and machine.

    Parameters
    ----------
    digest : str
        sha256 of the model file.
    measured : sequence of Measurement

    Returns
    -------
    Path
        The file it is kept in.
    """
    path = cache_folder() / FILE_NAME
    known = _read(path)
    of_machine = _part(known, digest, _machine())
    known[digest] = {**_part(known, digest), _machine(): of_machine}
    for name in {each.setting.provider for each in measured}:
        winner = best([each for each in measured if each.setting.provider == name])
        of_machine[name] = asdict(winner.setting) | {"patterns_per_s": winner.patterns_per_s}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(known, indent=1, sort_keys=True))
    return path


def recall(digest: str, provider: str = "auto") -> Setting | None:
    """Return the best setting that was measured, or None if nothing was.

    Parameters
    ----------
    digest : str
        sha256 of the model file.
    provider : str
        "auto" for the fastest of all.
    """
    of_machine = _part(_read(cache_folder() / FILE_NAME), digest, _machine())
    entries = [
        entry
        for name, entry in of_machine.items()
        if provider in ("auto", name) and _is_entry(name, entry)
    ]
    if not entries:
        return None
    found = max(entries, key=lambda entry: entry["patterns_per_s"])
    return Setting(found["provider"], found["num_threads"], found["batch_size"])


def _start(
    path: str | Path, providers: Sequence[str] | None, threads: Sequence[int]
) -> dict[tuple[str, int], Model]:
    models: dict[tuple[str, int], Model] = {}
    for name in providers or PROVIDERS:
        # a GPU does not care how many threads wait for it
        useful = threads[-1:] if name in PROVIDERS and PROVIDERS[name].device else threads
        for num in useful:
            try:
                models[name, num] = Model(
                    path,
                    provider=name,
                    num_threads=num,
                    predictions_at_once=1,
                    check_proof=False,
                )
            except ProviderError:
                if providers is not None:
                    raise
                break
    return models


def _prediction(model: Model, size: int) -> Callable[[], object]:
    manifest = model.manifest
    shape = (size, manifest.num_channels, manifest.window_px, manifest.window_px)
    proof = manifest.verification
    amplitude: NDArray[np.float32] = np.resize(proof.amplitude, shape)
    return lambda: model.predict(amplitude, proof.scale)


def _seconds(run: Callable[[], object]) -> float:
    started = perf_counter()
    run()
    return perf_counter() - started


def _measurement(
    setting: Setting,
    seconds: NDArray[np.float64],
    *,
    num_operations: int | None,
    num_channels: int,
    peak_per_s: float,
) -> Measurement:
    median_s, slow_s = np.percentile(seconds, (50, 99))
    samples_per_s = setting.batch_size / median_s
    share = None if num_operations is None else 100 * samples_per_s * num_operations / peak_per_s
    return Measurement(
        setting,
        patterns_per_s=float(samples_per_s * num_channels),
        p50_ms=float(1e3 * median_s),
        p99_ms=float(1e3 * slow_s),
        percent_of_peak=None if share is None else float(share),
    )


def _machine() -> str:
    return f"{platform.node()}, {platform.machine()}, {num_cores()} cores"


def _read(path: Path) -> dict[str, Any]:
    """Return what is remembered; a damaged file is as good as none."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _part(known: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return what lies under some keys; what is no object there is as good as nothing."""
    for key in keys:
        part = known.get(key)
        known = part if isinstance(part, dict) else {}
    return known


ENTRY_RULES = {
    "provider": one_of(*PROVIDERS),
    "num_threads": whole(1, 2**16),
    "batch_size": whole(1, 2**20),
    "patterns_per_s": POSITIVE,
}


def _is_entry(name: str, entry: object) -> bool:
    """Tell whether an entry is one that `remember` wrote for a provider."""
    if not isinstance(entry, dict) or entry.get("provider") != name:
        return False
    return all(rule.holds(entry.get(field)) for field, rule in ENTRY_RULES.items())
