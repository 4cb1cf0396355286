"""Reconstruct in a process that Ptychodus spawns for one call: it may use a GPU, and then ends."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ptychodus.api.product import LossValue
from ptychodus.api.reconstruct import ReconstructInput

from ptychonyx.runtime import ReconstructionOptions, SolvingOptions
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.solving.network.from_model import open_solver

from .running import PROGRESS_GOAL, Outputs, reconstruct, solve

ENTRY_POINT = f"{__name__}:run"


class Payload(Protocol):
    """The arguments of the child; Ptychodus sends them through a pipe."""

    def outputs(self) -> Outputs:
        """Do the work, in the child."""


@dataclass(frozen=True)
class Inference:
    """What a network needs."""

    model_path: Path
    options: ReconstructionOptions
    parameters: ReconstructInput
    losses: Sequence[LossValue]

    def outputs(self) -> Outputs:
        """Open the model, and reconstruct."""
        model = Model(self.model_path, provider=self.options.provider)
        return reconstruct(self.parameters, model, self.options, self.losses)


@dataclass(frozen=True)
class Solving:
    """What passes need.

    Attributes
    ----------
    network_path : path or None
        File of a network that corrects them.
    provider : str
        Where it runs.
    """

    options: SolvingOptions
    parameters: ReconstructInput
    network_path: Path | None
    provider: str

    def outputs(self) -> Outputs:
        """Open the network, if there is one, and make the passes."""
        path = self.network_path
        network = None if path is None else open_solver(path, provider=self.provider)
        return solve(self.parameters, self.options, network)


def run(payload: Payload, queue: Any) -> None:
    """Reconstruct, and send each output as Ptychodus' `SubprocessReconstructor` expects it."""
    for output in payload.outputs():
        queue.put(("output", pickle.dumps(output)))


def spawn(name: str, payload: Payload, parameters: ReconstructInput) -> Outputs:
    """Start the child, and pass on what it sends; closing the generator ends it."""
    from ptychodus.model.processing.subprocess_reconstructor import SubprocessReconstructor

    spawned = SubprocessReconstructor(
        name=name,
        reconstruct_entry_point=ENTRY_POINT,
        progress_goal_fn=lambda: PROGRESS_GOAL,
        build_reconstruct_payload=lambda given, path: payload,
    )
    try:
        yield from spawned.reconstruct(parameters)
    except RuntimeError as error:
        # Ptychodus wraps what the child raised in its whole traceback
        cause = getattr(error, "child_exception", None)
        raise cause or error from error
