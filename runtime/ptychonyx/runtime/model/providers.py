"""Execution providers: how each is asked for, and why one does not start.

onnxruntime itself is handed in by `model`, its only importer.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ProviderError
from ..files import cache_folder
from .binding import BATCH_SIZES
from .manifest import INPUT_NAMES

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelTraits:
    """What a provider wants to know of a model before it starts.

    Attributes
    ----------
    digest : str
        sha256 of the file.
    precision : str
        As in the manifest.
    sample_shape : (int, int, int)
        C, N and N.
    """

    digest: str
    precision: str
    sample_shape: tuple[int, int, int]


@dataclass(frozen=True)
class Provider:
    """How one execution provider is asked for.

    Attributes
    ----------
    ort_name : str
        onnxruntime's name for it.
    options : callable
        Returns its options for a model and a number of threads.
    wheel : str
        What brings it, as pip writes it.
    why_not : callable
        Returns the reason why it cannot start on this machine, or None if it may.
    device : str or None
        onnxruntime's name of the device whose memory it computes in, unless that is the CPU's.
    """

    ort_name: str
    options: Callable[[ModelTraits, int | None], Mapping[str, str]]
    wheel: str
    why_not: Callable[[ModuleType], str | None]
    device: str | None = None


def provider_names() -> tuple[str, ...]:
    """Return what `provider` may be.

    Examples
    --------
    >>> provider_names()
    ('auto', 'cpu', 'cuda', 'tensorrt', 'openvino')
    """
    return ("auto", *PROVIDERS)


def gpu_may_start(ort: ModuleType, provider: str) -> bool:
    """Tell whether a provider, asked for on this machine, may start something on a GPU.

    Nothing is started there to find out.
    """
    if provider != "auto":
        return provider in GPU_PROVIDERS
    names = {PROVIDERS[name].ort_name for name in GPU_PROVIDERS if name in AUTO}
    return bool(names & set(ort.get_available_providers())) and _why_no_driver() is None


def check_provider(provider: str) -> None:
    """Refuse a provider that nobody knows.

    Raises
    ------
    ValueError
        Lists what there is.
    """
    if provider not in provider_names():
        raise ValueError(
            f"`provider` is {provider!r}; there is no such execution provider: choose one of "
            f"{', '.join(provider_names())}."
        )


def start_session(
    ort: ModuleType,
    data: bytes,
    provider: str,
    num_threads: int | None,
    traits: ModelTraits,
    predictions_at_once: int = 1,
) -> tuple[str, Any]:
    """Start a provider, or for "auto" the best that really starts.

    Parameters
    ----------
    ort : module
        onnxruntime.
    data : bytes
        The whole model file.
    provider : str
        One of `provider_names()`.
    num_threads : int or None
        Of one prediction on the CPU; by default all cores, less what other predictions need.
    traits : ModelTraits
        Of the same file.
    predictions_at_once : int
        Predictions at the same time on the CPU; each brings a thread of its own.

    Returns
    -------
    (str, InferenceSession)
        The name of the provider that started, and its session.

    Raises
    ------
    ProviderError
        If a provider asked for by name does not start; says why.
    """
    reasons: list[str] = []
    for name in AUTO if provider == "auto" else (provider,):
        threads = num_threads or _num_threads(predictions_at_once if name == "cpu" else 1)
        session, reason = _try(ort, data, name, threads, traits)
        if session is not None:
            if reasons:
                _logger.info("running on the %s because %s", name.upper(), "; ".join(reasons))
            return name, session
        reasons.append(f"{name} does not start: {reason}")
    raise ProviderError(
        f"The execution provider {reasons[0]}. Cure that, or choose another with `provider`: "
        f"{', '.join(provider_names())}."
    )


def _try(
    ort: ModuleType, data: bytes, name: str, num_threads: int | None, traits: ModelTraits
) -> tuple[Any, str]:
    """Return a session and "", or None and the reason why there is none."""
    spec = PROVIDERS[name]
    reason = spec.why_not(ort)
    if reason is not None:
        return None, reason
    if spec.ort_name not in ort.get_available_providers():
        return None, f"the installed onnxruntime is without it: `pip install {spec.wheel}`"
    if name == "cpu":
        # what goes wrong here has nothing to do with the provider
        return _session(ort, data, name, num_threads, traits), ""
    if name == "tensorrt":
        _announce_engine(traits)
    failures: tuple[type[Exception], ...] = (*errors_of(ort), RuntimeError, ValueError)
    try:
        with _quiet(ort):
            session = _session(ort, data, name, num_threads, traits)
    except failures as error:
        return None, f"onnxruntime says: {error}"
    # onnxruntime leaves out a provider whose libraries it cannot load, and goes on
    if session.get_providers()[0] != spec.ort_name:
        return None, _why_not_loaded(ort, spec)
    return session, ""


def _session(
    ort: ModuleType, data: bytes, name: str, num_threads: int | None, traits: ModelTraits
) -> Any:
    return ort.InferenceSession(
        data,
        sess_options=_session_options(ort, num_threads),
        providers=_with_fallbacks(name, num_threads, traits),
        enable_fallback=0,  # else onnxruntime prints, and starts another provider
    )


def _with_fallbacks(
    name: str, num_threads: int | None, traits: ModelTraits
) -> list[tuple[str, dict[str, str]]]:
    """Return the provider and those that take the operators it lacks."""
    names = {"tensorrt": ("tensorrt", "cuda", "cpu"), "cpu": ("cpu",)}.get(name, (name, "cpu"))
    return [
        (PROVIDERS[each].ort_name, dict(PROVIDERS[each].options(traits, num_threads)))
        for each in names
    ]


def _session_options(ort: ModuleType, num_threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what matters comes as an exception
    # Threads that spin between two runs take up to 45 % from reading and stitching beside them.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    return options


def _num_threads(predictions_at_once: int) -> int | None:
    """Return the threads of one prediction, or None to let onnxruntime take one for each core.

    Predictions at the same time share the session's threads, and each adds the one that calls.
    More threads than cores would cost a fifth of the rate.
    """
    num_cores = _num_allowed_cores()
    if predictions_at_once == 1:
        return num_cores
    return max(1, (num_cores or _num_physical_cores()) - predictions_at_once + 1)


def _num_physical_cores() -> int:
    """Return the machine's cores; where that is known, two threads of one core count once."""
    threads_of_cores = Path("/sys/devices/system/cpu/smt/active")
    is_doubled = threads_of_cores.is_file() and threads_of_cores.read_text().strip() == "1"
    return max(1, (os.cpu_count() or 1) // (2 if is_doubled else 1))


def _num_allowed_cores() -> int | None:
    """Return the cores this process is confined to, or None if it may use all.

    onnxruntime then counts physical cores itself; confined, it would start a thread for each core
    of the machine.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed < (os.cpu_count() or 1) else None


def errors_of(ort: ModuleType) -> tuple[type[Exception], ...]:
    """Return onnxruntime's own exceptions; they share no base class but Exception."""
    state = import_module(f"{ort.__name__}.capi.onnxruntime_pybind11_state")
    classes = (value for value in vars(state).values() if isinstance(value, type))
    return tuple(each for each in classes if issubclass(each, Exception))


@contextlib.contextmanager
def _quiet(ort: ModuleType) -> Iterator[None]:
    """Keep onnxruntime from writing to stderr what is reported as a reason instead."""
    ort.set_default_logger_severity(4)
    try:
        yield
    finally:
        ort.set_default_logger_severity(2)  # onnxruntime's own default; it cannot be asked


def _why_not_loaded(ort: ModuleType, spec: Provider) -> str:
    """Return the loader's words about the provider's library.

    Only after a session was tried: loading it earlier would start it without its host.
    """
    short = spec.ort_name.removesuffix("ExecutionProvider").lower()
    pattern = f"*onnxruntime_providers_{short}.*"
    for library in sorted((Path(str(ort.__file__)).parent / "capi").glob(pattern)):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return f"a library is missing or does not fit ({error})"
    return "onnxruntime left it out without saying why; its libraries may be for another CUDA"


def _why_no_nvidia(ort: ModuleType) -> str | None:
    reason = _why_no_driver()
    if reason is None:
        _preload_cuda_libraries(ort)
    return reason


def _why_no_driver() -> str | None:
    """Ask the NVIDIA driver itself; makes no GPU context."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return f"there is no NVIDIA driver here ({library} cannot be loaded)"
    num_devices = ctypes.c_int(0)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(num_devices))
    if code or num_devices.value == 0:
        return f"the NVIDIA driver finds no GPU that can be used (CUDA error {code})"
    return None


def _preload_cuda_libraries(ort: ModuleType) -> None:
    """Load CUDA and cuDNN from pip's nvidia packages, where the system's loader does not look.

    What cannot be loaded is printed by onnxruntime; it goes to the log, and the session says the
    rest.
    """
    preload = getattr(ort, "preload_dlls", None)
    if preload is None:
        return
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        preload()
    if printed.getvalue():
        _logger.debug("onnxruntime.preload_dlls: %s", printed.getvalue().strip())


def _no_options(traits: ModelTraits, num_threads: int | None) -> Mapping[str, str]:
    return {}


def _cuda_options(traits: ModelTraits, num_threads: int | None) -> Mapping[str, str]:
    # TF32 rounds to 10 bits and would not reproduce the native network
    return {"use_tf32": "0"}


def _openvino_options(traits: ModelTraits, num_threads: int | None) -> Mapping[str, str]:
    options = {"device_type": "CPU", "precision": "FP32"}
    if num_threads is not None:
        options["load_config"] = json.dumps({"CPU": {"INFERENCE_NUM_THREADS": num_threads}})
    return options


TENSORRT_PRECISIONS = {"float16": "fp16", "bfloat16": "bf16"}
"""TensorRT takes only symmetric 8 bits; our int8 files are made for CPUs."""


def _tensorrt_options(traits: ModelTraits, num_threads: int | None) -> Mapping[str, str]:
    """One engine for all batch sizes, kept for the next time."""

    def shapes(batch: int) -> str:
        sides = "x".join(str(side) for side in (batch, *traits.sample_shape))
        amplitude, scale = INPUT_NAMES
        return f"{amplitude}:{sides},{scale}:1"

    folder = str(_engine_folder(traits))
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
        "trt_profile_min_shapes": shapes(BATCH_SIZES[0]),
        "trt_profile_opt_shapes": shapes(64),
        "trt_profile_max_shapes": shapes(BATCH_SIZES[-1]),
    }
    if traits.precision in TENSORRT_PRECISIONS:
        options[f"trt_{TENSORRT_PRECISIONS[traits.precision]}_enable"] = "1"
    return options


def _engine_folder(traits: ModelTraits) -> Path:
    return cache_folder() / "tensorrt" / traits.digest


def _announce_engine(traits: ModelTraits) -> None:
    """Say what blocks for minutes before it does."""
    folder = _engine_folder(traits)
    if not any(folder.glob("*.engine")):
        folder.mkdir(parents=True, exist_ok=True)
        _logger.warning(
            "TensorRT builds an engine for this model and GPU now, which takes minutes; it is kept "
            "in %s for the next time.",
            folder,
        )


PROVIDERS: dict[str, Provider] = {
    "cpu": Provider("CPUExecutionProvider", _no_options, '"ptychonyx[cpu]"', lambda ort: None),
    "cuda": Provider(
        "CUDAExecutionProvider", _cuda_options, '"ptychonyx[gpu]"', _why_no_nvidia, "cuda"
    ),
    "tensorrt": Provider(
        "TensorrtExecutionProvider", _tensorrt_options, '"ptychonyx[gpu]"', _why_no_nvidia, "cuda"
    ),
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        _openvino_options,
        '"ptychonyx[openvino]"',
        lambda ort: None,
    ),
}
GPU_PROVIDERS = ("cuda", "tensorrt")
AUTO = ("cuda", "cpu")
"""Best first, the CPU last. TensorRT builds engines for minutes, and OpenVINO by itself rounds to
bfloat16 on some processors: both are to be asked for by name."""
