"""Drawn objects keep their ranges, have structure, and need no download."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.simulation.objects import OBJECTS
from ptychonyx.runtime.simulation.scan import SimulationOptions, draw_object


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def needs_photographs(object_name: str) -> None:
    if object_name == "natural":
        pytest.importorskip("skimage", reason="scikit-image is not installed")


@pytest.mark.parametrize("object_name", OBJECTS)
def test_objects_keep_their_ranges_and_have_structure(object_name: str) -> None:
    needs_photographs(object_name)
    spec = SimulationOptions(
        object_name=object_name, amplitude_range=(0.3, 0.9), phase_range_rad=(-1.0, 0.5)
    )
    object_ = draw_object(spec, (70, 110), rng())
    assert object_.shape == (70, 110)
    for image, (low, high) in (
        (np.abs(object_), spec.amplitude_range),
        (np.angle(object_), spec.phase_range_rad),
    ):
        assert low - 1e-9 <= image.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < image.max() <= high + 1e-9
        assert image.std() > 0.05 * (high - low)
    amplitude, phase = np.abs(object_).ravel(), np.angle(object_).ravel()
    assert abs(np.corrcoef(amplitude, phase)[0, 1]) < 0.9


def test_natural_without_scikit_image_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_skimage(
        name: str,
        globals_: Mapping[str, object] | None = None,
        locals_: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if name.split(".")[0] == "skimage":
            raise ImportError(name)
        return imported(name, globals_, locals_, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without_skimage)
    with pytest.raises(RuntimeError, match=r"ptychonyx\[compare\]"):
        OBJECTS["natural"]((16, 16), rng())


def test_scikit_image_photographs_need_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_photographs("natural")
    import socket

    def refuse(*arguments: object) -> None:
        raise AssertionError("a simulation went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for seed in range(12):
        assert OBJECTS["natural"]((600, 700), rng(seed)).shape == (600, 700)
