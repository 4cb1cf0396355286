"""Where passes stand is read as it was written, and no more is kept than a pass back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ptychonyx.runtime.fleet.states import (
    FOLDER,
    read_state,
    remove_all_states,
    state_path,
    write_state,
)
from ptychonyx.runtime.solving.physics.sweep import State, start_state


def make_state() -> State:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(2, 2, 8, 8))
    object_, change = (numbers[0] + 1j * numbers[1]).astype(np.complex64)
    state = start_state(object_, np.stack([change[:4, :4], object_[:4, :4]]), 0.3)
    return replace(state, last_change=change, num_passes=7, residual=0.25, step=0.125)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = make_state()
    write_state(state, tmp_path, "scan")
    found = read_state(tmp_path, "scan", 7)
    for name in ("object_", "last_change"):
        np.testing.assert_array_equal(getattr(found, name), getattr(state, name))
    np.testing.assert_array_equal(found.beam.modes, state.beam.modes)
    np.testing.assert_array_equal(found.beam.spectra, state.beam.spectra)
    for name in ("num_passes", "residual", "first_step", "step", "correction"):
        assert getattr(found, name) == getattr(state, name)


def test_the_last_two_passes_are_there_and_then_none(tmp_path: Path) -> None:
    for number in range(4):
        write_state(replace(make_state(), num_passes=number), tmp_path, "scan")
    write_state(make_state(), tmp_path, "other")
    numbers = [number for number in range(4) if state_path(tmp_path, "scan", number).exists()]
    assert numbers == [2, 3]
    remove_all_states(tmp_path, ["scan"])
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["other"]
    remove_all_states(tmp_path, ["scan", "other"])
    assert not (tmp_path / FOLDER).exists()
