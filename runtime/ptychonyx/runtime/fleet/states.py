"""Where passes stand that several workers make, in files: what a dead worker cannot take along.

They lie in a folder of their own, a file for each pass, and the last two are there: a pass can be
repeated, however many workers die.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..files import write_atomically
from ..solving.physics.exit_waves import make_beam
from ..solving.physics.sweep import State

FOLDER = "passes"
"""In the folder of the products, while there are passes that several workers make."""
_NUMBERS = ("num_passes", "residual", "first_step", "step")


def write_state(state: State, folder: Path, name: str) -> None:
    """Write the state after a pass over a scan, and remove that of two passes before.

    Parameters
    ----------
    state : State
        Without a network's correction.
    folder : path
        Folder of the products.
    name : str
        Name of the scan in its fleet.
    """
    path = state_path(folder, name, state.num_passes)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "object": state.object_,
        "last_change": state.last_change,
        "modes": state.beam.modes,
        "numbers": np.array([getattr(state, name) for name in _NUMBERS]),
    }
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))
    state_path(folder, name, state.num_passes - 2).unlink(missing_ok=True)


def read_state(folder: Path, name: str, number: int) -> State:
    """Read the state after so many passes over a scan."""
    with np.load(state_path(folder, name, number), allow_pickle=False) as file:
        num_passes, residual, first_step, step = file["numbers"].tolist()
        return State(
            file["object"],
            file["last_change"],
            make_beam(file["modes"]),
            int(num_passes),
            residual,
            first_step,
            step,
        )


def remove_states(folder: Path, name: str) -> None:
    """Remove what is left of the passes over a scan."""
    shutil.rmtree(folder / FOLDER / name, ignore_errors=True)


def remove_all_states(folder: Path, names: Iterable[str]) -> None:
    """Remove what is left of the passes over scans; only while no worker makes some."""
    for name in names:
        remove_states(folder, name)
    if (folder / FOLDER).is_dir() and not any((folder / FOLDER).iterdir()):
        (folder / FOLDER).rmdir()


def state_path(folder: Path, name: str, number: int) -> Path:
    """Return where the state after so many passes over a scan is written."""
    return folder / FOLDER / name / f"{number}.npz"
