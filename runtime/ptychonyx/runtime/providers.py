"""Execution providers: how each is asked for, and why one does not start.

onnxruntime itself is handed in by `model`, its only importer.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ProviderError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Provider:
    """How one execution provider is asked for.

    Attributes
    ----------
    ort_name : str
        onnxruntime's name for it.
    options : mapping
    wheel : str
        What brings it, as pip writes it.
    why_not : callable
        Returns the reason why it cannot start on this machine, or None if it may.
    """

    ort_name: str
    options: Mapping[str, str]
    wheel: str
    why_not: Callable[[ModuleType], str | None]


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
    predictions_at_once : int
        Predictions at the same time; each brings a thread of its own.

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
    num_threads = num_threads or _num_threads(predictions_at_once)
    for name in AUTO if provider == "auto" else (provider,):
        session, reason = _try(ort, data, name, num_threads)
        if session is not None:
            if reasons:
                _logger.info("running on the %s because %s", name.upper(), "; ".join(reasons))
            return name, session
        reasons.append(f"{name} does not start: {reason}")
    raise ProviderError(
        f"The execution provider {reasons[0]}. Cure that, or choose another with `provider`: "
        f"{', '.join(provider_names())}."
    )


def _try(ort: ModuleType, data: bytes, name: str, num_threads: int | None) -> tuple[Any, str]:
    """Return a session and "", or None and the reason why there is none."""
    spec = PROVIDERS[name]
    reason = spec.why_not(ort)
    if reason is not None:
        return None, reason
    if spec.ort_name not in ort.get_available_providers():
        return None, f"the installed onnxruntime is without it: `pip install {spec.wheel}`"
    if name == "cpu":
        # what goes wrong here has nothing to do with the provider
        return _session(ort, data, name, num_threads), ""
    failures: tuple[type[Exception], ...] = (*errors_of(ort), RuntimeError, ValueError)
    try:
        with _quiet(ort):
            session = _session(ort, data, name, num_threads)
    except failures as error:
        return None, f"onnxruntime says: {error}"
    # onnxruntime leaves out a provider whose libraries it cannot load, and goes on
    if session.get_providers()[0] != spec.ort_name:
        return None, _why_not_loaded(ort, spec)
    return session, ""


def _session(ort: ModuleType, data: bytes, name: str, num_threads: int | None) -> Any:
    return ort.InferenceSession(
        data,
        sess_options=_session_options(ort, num_threads),
        providers=_with_fallbacks(name),
        enable_fallback=0,  # else onnxruntime prints, and starts another provider
    )


def _with_fallbacks(name: str) -> list[tuple[str, dict[str, str]]]:
    """Return the provider and those that take the operators it lacks."""
    names = {"tensorrt": ("tensorrt", "cuda", "cpu"), "cpu": ("cpu",)}.get(name, (name, "cpu"))
    return [(PROVIDERS[each].ort_name, dict(PROVIDERS[each].options)) for each in names]


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


PROVIDERS: dict[str, Provider] = {
    "cpu": Provider("CPUExecutionProvider", {}, '"ptychonyx[cpu]"', lambda ort: None),
    "cuda": Provider(
        "CUDAExecutionProvider",
        {"use_tf32": "0"},  # TF32 rounds to 10 bits and would not reproduce the native network
        '"ptychonyx[gpu]"',
        _why_no_nvidia,
    ),
    "tensorrt": Provider("TensorrtExecutionProvider", {}, '"ptychonyx[gpu]"', _why_no_nvidia),
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        {"device_type": "CPU", "precision": "FP32"},
        "onnxruntime-openvino",
        lambda ort: None,
    ),
}
GPU_PROVIDERS = ("cuda", "tensorrt")
AUTO = ("cuda", "cpu")
"""Best first, the CPU last. TensorRT builds engines for minutes, and OpenVINO by itself rounds to
bfloat16 on some processors: both are to be asked for by name."""
