"""Start a session of onnxruntime, or say why one does not start."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..environment import prepare_for
from ..errors import ProviderError
from .cores import num_confined_cores, num_physical_cores
from .model_file import ModelFile
from .providers import AUTO, PROVIDERS, ModelTraits, Provider, check_provider, provider_names

_logger = logging.getLogger(__name__)


def import_onnxruntime() -> ModuleType:
    """Return onnxruntime, which nothing imports before a model is run.

    Its telemetry is switched off first, unless the user has chosen otherwise; see `environment`.

    Raises
    ------
    RuntimeError
        If it is not installed; says how to install it.
    """
    prepare_for("onnxruntime")
    try:
        ort = import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeError(
            f"onnxruntime, which runs the model files, cannot be imported ({error}). Install one "
            'of these: `pip install "ptychonyx[cpu]"`, with an NVIDIA GPU '
            '`pip install "ptychonyx[gpu]"`, or on an Intel CPU `pip install "ptychonyx[openvino]"`.'
        ) from error
    return ort


def errors_of(ort: ModuleType) -> tuple[type[Exception], ...]:
    """Return onnxruntime's own exceptions; they share no base class but Exception."""
    state = import_module(f"{ort.__name__}.capi.onnxruntime_pybind11_state")
    classes = (value for value in vars(state).values() if isinstance(value, type))
    return tuple(each for each in classes if issubclass(each, Exception))


def why_no_gpu() -> str | None:
    """Ask the NVIDIA driver why no GPU can be used here; None if one can.

    No GPU context is made.
    """
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


Driver = Callable[[], str | None]
"""Returns why no GPU can be used on a machine, or None if one can; see `why_no_gpu`."""


def may_use_gpu(provider: str, *, driver: Driver = why_no_gpu) -> bool:
    """Tell whether a provider may start something on a GPU here; nothing is started to find out.

    A host that keeps GPU work in processes of its own asks this first.

    Parameters
    ----------
    provider : str
        One of `provider_names()`.
    driver : callable
        Asked only for "auto".

    Raises
    ------
    ValueError
        If there is no such provider.
    RuntimeError
        If onnxruntime is not installed.

    Examples
    --------
    >>> may_use_gpu("cpu"), may_use_gpu("cuda")
    (False, True)
    """
    check_provider(provider)
    ort = import_onnxruntime()
    if provider != "auto":
        return PROVIDERS[provider].needs_gpu
    names = {PROVIDERS[name].ort_name for name in AUTO if PROVIDERS[name].needs_gpu}
    return bool(names & set(ort.get_available_providers())) and driver() is None


def start_session(
    ort: ModuleType,
    file: ModelFile,
    provider: str = "auto",
    *,
    num_threads: int | None = None,
    predictions_at_once: int = 1,
    driver: Driver = why_no_gpu,
) -> tuple[str, Any]:
    """Start a provider for a model file, or for "auto" the best that really starts.

    Parameters, result and errors are those of `start_graph`.
    """
    return start_graph(
        ort,
        file.to_session(),
        ModelTraits(file.digest, file.manifest.precision, file.manifest.inputs),
        provider,
        num_threads=num_threads,
        predictions_at_once=predictions_at_once,
        driver=driver,
    )


def start_graph(
    ort: ModuleType,
    data: bytes,
    traits: ModelTraits,
    provider: str = "auto",
    *,
    num_threads: int | None = None,
    predictions_at_once: int = 1,
    driver: Driver = why_no_gpu,
) -> tuple[str, Any]:
    """Start a provider for a graph, or for "auto" the best that really starts.

    Parameters
    ----------
    ort : module
        onnxruntime.
    data : bytes
        An ONNX file that `write_onnx` has written.
    traits : ModelTraits
        What providers want to know about it.
    provider : str
        One of `provider_names()`.
    num_threads : int, optional
        Threads of one prediction on the CPU; by default all cores, less what other predictions
        need.
    predictions_at_once : int
        Predictions at the same time on the CPU; each brings a thread of its own.
    driver : callable
        Says why no GPU can be used.

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
        session, reason = _session_or_reason(ort, data, name, threads, traits, driver)
        if session is not None:
            _tell(name, reasons, driver)
            return name, session
        reasons.append(f"{name} does not start: {reason}")
    raise ProviderError(
        f"The execution provider {reasons[0]}. Cure that, or choose another with `provider`: "
        f"{', '.join(provider_names())}."
    )


def _tell(name: str, reasons: list[str], driver: Driver) -> None:
    """Log why better providers did not start: for the user where a GPU is there to be used."""
    if reasons:
        level = logging.INFO if driver() is None else logging.DEBUG
        _logger.log(level, "running on the %s because %s", name.upper(), "; ".join(reasons))


def _session_or_reason(
    ort: ModuleType,
    data: bytes,
    name: str,
    num_threads: int | None,
    traits: ModelTraits,
    driver: Driver,
) -> tuple[Any, str]:
    """Return a session and "", or None and the reason why there is none."""
    spec = PROVIDERS[name]
    if spec.needs_gpu:
        reason = driver()
        if reason is not None:
            return None, reason
        _preload_cuda_libraries(ort)
    if spec.ort_name not in ort.get_available_providers():
        return None, f"the installed onnxruntime is without it: `pip install {spec.wheel}`"
    if name == "cpu":
        # what goes wrong here has nothing to do with the provider
        return _session(ort, data, name, num_threads, traits), ""
    spec.prepare(traits)
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
    providers = [
        (PROVIDERS[each].ort_name, dict(PROVIDERS[each].options(traits, num_threads)))
        for each in (name, *PROVIDERS[name].fallbacks)
    ]
    return ort.InferenceSession(
        data,
        sess_options=_session_options(ort, num_threads),
        providers=providers,
        enable_fallback=0,  # else onnxruntime prints, and starts another provider
    )


def _session_options(ort: ModuleType, num_threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what matters comes as an exception
    # else a file with the letters ORTM in its fifth byte is read as another format than was checked
    options.add_session_config_entry("session.load_model_format", "ONNX")
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
    cores = num_confined_cores()
    if predictions_at_once == 1:
        return cores
    return max(1, (cores or num_physical_cores()) - predictions_at_once + 1)


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
