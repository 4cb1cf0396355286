"""Execution providers of onnxruntime: a table of how each is asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..files import cache_folder
from .binding import BATCH_SIZES

_logger = logging.getLogger(__name__)


DYNAMIC_SIDES = {
    "batch": (BATCH_SIZES[0], 64, BATCH_SIZES[-1]),  # 64 is a reconstruction's default
    "height": (32, 512, 2048),
    "width": (32, 512, 2048),
    "patterns": (1, 32, 64),  # of a solver, at a time
    "modes": (1, 2, 8),  # of its probe
}
"""Dynamic side of an input -> its smallest, usual and largest length."""


@dataclass(frozen=True)
class ModelTraits:
    """What a provider wants to know about a model before it starts.

    Attributes
    ----------
    digest : str
        sha256 of the model file.
    precision : str
        Number format of the model, as in the manifest.
    input_shapes : mapping of str to tuple
        Shape of each input; a dynamic side has its name in `DYNAMIC_SIDES`.
    """

    digest: str
    precision: str
    input_shapes: Mapping[str, tuple[int | str, ...]]


def _no_options(traits: ModelTraits, num_threads: int | None) -> Mapping[str, str]:
    return {}


def _nothing(traits: ModelTraits) -> None:
    return None


@dataclass(frozen=True)
class Provider:
    """How one execution provider is asked for.

    Attributes
    ----------
    ort_name : str
        onnxruntime's name for it.
    wheel : str
        The wheel that brings it, as pip writes it.
    options : callable
        Returns its options for a model and a number of threads.
    fallbacks : tuple of str
        Providers that take the operators it lacks.
    device : str or None
        onnxruntime's name of the device in whose memory it computes; None for the CPU.
    needs_gpu : bool
        Whether it starts only with an NVIDIA driver and GPU.
    prepare : callable
        Called with the model before a session is started.
    """

    ort_name: str
    wheel: str
    options: Callable[[ModelTraits, int | None], Mapping[str, str]] = _no_options
    fallbacks: tuple[str, ...] = ("cpu",)
    device: str | None = None
    needs_gpu: bool = False
    prepare: Callable[[ModelTraits], None] = _nothing


def provider_names() -> tuple[str, ...]:
    """Return what `provider` may be.

    Examples
    --------
    >>> provider_names()
    ('auto', 'cpu', 'cuda', 'tensorrt', 'openvino')
    """
    return ("auto", *PROVIDERS)


def check_provider(provider: str) -> None:
    """Refuse a provider that is not in the table.

    Raises
    ------
    ValueError
        Lists those that are.
    """
    if provider not in provider_names():
        raise ValueError(
            f"`provider` is {provider!r}; there is no such execution provider: choose one of "
            f"{', '.join(provider_names())}."
        )


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
    """Ask for one engine for all sizes of the input, kept for the next time."""

    def shapes(index: int) -> str:
        return ",".join(
            f"{name}:" + "x".join(str(_length(side, index)) for side in shape)
            for name, shape in traits.input_shapes.items()
        )

    folder = str(_engine_folder(traits))
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
        "trt_profile_min_shapes": shapes(0),
        "trt_profile_opt_shapes": shapes(1),
        "trt_profile_max_shapes": shapes(2),
    }
    if traits.precision in TENSORRT_PRECISIONS:
        options[f"trt_{TENSORRT_PRECISIONS[traits.precision]}_enable"] = "1"
    return options


def _length(side: int | str, index: int) -> int:
    return side if isinstance(side, int) else DYNAMIC_SIDES[side][index]


def _engine_folder(traits: ModelTraits) -> Path:
    return cache_folder() / "tensorrt" / traits.digest


def _announce_engine(traits: ModelTraits) -> None:
    """Warn that TensorRT is about to block for minutes, where no engine was kept."""
    folder = _engine_folder(traits)
    if not any(folder.glob("*.engine")):
        folder.mkdir(parents=True, exist_ok=True)
        _logger.warning(
            "TensorRT builds an engine for this model and GPU now, which takes minutes; it is kept "
            "in %s for the next time.",
            folder,
        )


PROVIDERS: dict[str, Provider] = {
    "cpu": Provider("CPUExecutionProvider", '"ptychonyx[cpu]"', fallbacks=()),
    "cuda": Provider(
        "CUDAExecutionProvider", '"ptychonyx[gpu]"', _cuda_options, device="cuda", needs_gpu=True
    ),
    "tensorrt": Provider(
        "TensorrtExecutionProvider",
        '"ptychonyx[gpu]"',
        _tensorrt_options,
        fallbacks=("cuda", "cpu"),
        device="cuda",
        needs_gpu=True,
        prepare=_announce_engine,
    ),
    "openvino": Provider("OpenVINOExecutionProvider", '"ptychonyx[openvino]"', _openvino_options),
}
AUTO = ("cuda", "cpu")
"""What "auto" tries, best first. TensorRT builds engines for minutes, and OpenVINO by itself rounds
to bfloat16 on some processors: both are to be asked for by name."""
