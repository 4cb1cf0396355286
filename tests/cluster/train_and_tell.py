"""Train as one of several processes, and write down the loss of every batch.

    python train_and_tell.py SETTINGS.json

Started by itself it starts the processes. SETTINGS holds `config`, `scans`, `devices` and `output`;
`is_sgd`, whether plain gradient steps are taken in place of Adam's; and perhaps `max_batches`, after
how many batches to stop.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptychonyx.runtime.errors import TrainingInterruptedError
from ptychonyx.runtime.formats import load_scan
from ptychonyx.training import TrainingConfig, Watcher, train
from ptychonyx.training.distributed.launch import launch
from ptychonyx.training.distributed.workers import find_workers


class Losses:
    """The loss of every batch, from the running means that a watcher is told."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self._seen, self._sum = 0, 0.0

    def add(self, seen: int, mean: float) -> None:
        if seen <= self._seen:
            self._seen, self._sum = 0, 0.0
        self.found.append((mean * seen - self._sum) / (seen - self._seen))
        self._seen, self._sum = seen, mean * seen


def main(file: Path) -> int:
    settings = json.loads(file.read_text())
    config = TrainingConfig(**settings["config"])
    workers = find_workers(config.backend, devices=settings["devices"], environment=os.environ)
    if workers is None:
        return launch([sys.executable, __file__, str(file)], settings["devices"], os.environ)
    if settings["is_sgd"]:
        SGD[config.backend](setattr)
    losses, num_wanted = Losses(), settings.get("max_batches")
    watcher = Watcher(
        on_batch=losses.add,
        should_stop=lambda: num_wanted is not None and len(losses.found) >= num_wanted,
    )
    scans = [load_scan(path, quantity="counts") for path in settings["scans"]]
    output = Path(settings["output"])
    try:
        train(scans, config, output, watcher=watcher, workers=workers)
    except TrainingInterruptedError:
        assert num_wanted is not None
    output.with_name(f"{output.name}-{workers.rank}.json").write_text(json.dumps(losses.found))
    return 0


def use_sgd_pytorch(set_attribute: Callable[..., None]) -> None:
    import torch

    from ptychonyx.training.pytorch import module

    def make_optimizer(config: TrainingConfig, network: Any, probe: Any) -> torch.optim.Optimizer:
        trained = [*network.parameters(), *(p for p in probe.parameters() if p.requires_grad)]
        return torch.optim.SGD(trained, lr=config.learning_rate)

    set_attribute(module, "make_optimizer", make_optimizer)


def use_sgd_tensorflow(set_attribute: Callable[..., None]) -> None:
    from ptychonyx.training.tensorflow.optimizer import Adam

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        variable.assign_sub(learning_rate * gradient)

    set_attribute(Adam, "update_step", update_step)


SGD = {"pytorch": use_sgd_pytorch, "tensorflow": use_sgd_tensorflow}

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
