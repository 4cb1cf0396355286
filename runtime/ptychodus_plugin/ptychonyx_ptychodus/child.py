"""Reconstruct in a process that Ptychodus spawns for one call: it may use a GPU, and then ends."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptychodus.api.product import LossValue
from ptychodus.api.reconstruct import ReconstructInput

from ptychonyx.runtime import ReconstructionOptions
from ptychonyx.runtime.model.session import Model

from .convert import reconstruct

ENTRY_POINT = f"{__name__}:run"


@dataclass(frozen=True)
class Payload:
    """The arguments of the child; Ptychodus sends them through a pipe."""

    model_path: Path
    options: ReconstructionOptions
    parameters: ReconstructInput
    losses: Sequence[LossValue]


def run(payload: Payload, queue: Any) -> None:
    """Reconstruct, and send each output as Ptychodus' `SubprocessReconstructor` expects it."""
    model = Model(payload.model_path, provider=payload.options.provider)
    for output in reconstruct(payload.parameters, model, payload.options, payload.losses):
        queue.put(("output", pickle.dumps(output)))
