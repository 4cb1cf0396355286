"""Solve the star with pty-chi, in its own environment: no module of Ptychonyx is imported here.

    PYTHON ptychi_worker.py TASK.npz SETTING_JSON OUT.npz STARTED

TASK.npz holds what all settings share, SETTING_JSON what `peers.Setting` holds, STARTED the time of the
clock when the process was asked for. OUT.npz gets the objects after the epochs noted and the seconds
until each of them, without start-up, which is there by itself.
"""

from __future__ import annotations

import json
import sys
import time
import types
from typing import Any

import numpy as np


def stub_torchvision() -> None:
    """Stand in for torchvision, of which pty-chi needs one blur, and only for probe supports.

    The wheels of torchvision that an index offers bring operators for CUDA, which a CPU build of torch
    cannot load.
    """
    package, transforms = (
        types.ModuleType("torchvision"),
        types.ModuleType("torchvision.transforms"),
    )
    vars(transforms)["GaussianBlur"] = None
    vars(package)["transforms"] = transforms
    sys.modules |= {"torchvision": package, "torchvision.transforms": transforms}


def options_of(setting: dict[str, Any]) -> Any:
    """Return pty-chi's options: only the object is solved for."""
    from ptychi import api

    makers = {"LSQML": api.LSQMLOptions, "rPIE": api.RPIEOptions, "PIE": api.PIEOptions}
    options = makers[setting["algorithm"]]()
    if setting["algorithm"] == "LSQML":
        options.object_options.optimal_step_size_scaler = setting["step"]
        options.reconstructor_options.rescale_probe_intensity_in_first_epoch = False
    else:
        options.object_options.step_size = setting["step"]
    options.object_options.remove_object_probe_ambiguity.enabled = False
    options.object_options.determine_position_origin_coords_by = (
        api.ObjectPosOriginCoordsMethods.SPECIFIED
    )
    options.object_options.position_origin_coords = [(setting["window_px"] - 1) / 2] * 2
    options.probe_options.optimizable = False
    options.probe_options.orthogonalize_incoherent_modes.enabled = False
    options.probe_position_options.optimizable = False
    options.reconstructor_options.batch_size = setting["batch"]
    options.reconstructor_options.num_epochs = setting["epochs"]
    options.reconstructor_options.default_device = api.Devices.CPU
    options.reconstructor_options.random_seed = 0
    options.reconstructor_options.displayed_loss_function = None
    return options


def main(task_path: str, setting_json: str, out_path: str, started: str) -> None:
    setting = json.loads(setting_json)
    stub_torchvision()
    import torch
    from ptychi.api.task import PtychographyTask

    torch.set_num_threads(1)
    with np.load(task_path) as shared:
        data = dict(shared)
    side = data["probe"].shape[-1]
    corners_px = data["corners_px"].astype(np.float32)
    task = PtychographyTask(
        options_of(setting),
        diffraction_data=data["patterns"].astype(np.float32),
        object_data=data["object"][None],
        probe_data=data["probe"][None] / np.float32(side),  # its FFT is not orthonormal
        probe_position_y_px=corners_px[:, 0],
        probe_position_x_px=corners_px[:, 1],
    )
    startup_s, seconds, objects = time.time() - float(started), [0.0], []
    for epoch in range(1, setting["epochs"] + 1):
        began_s = time.perf_counter()
        task.run(1)
        seconds.append(seconds[-1] + time.perf_counter() - began_s)
        if epoch in setting["noted"]:
            objects.append(task.get_data_to_cpu("object", as_numpy=True)[0])
        if seconds[-1] > setting["budget_s"] or not np.isfinite(objects[-1]).all():
            break
    noted = [epoch for epoch in setting["noted"] if epoch < len(seconds)]
    np.savez(
        out_path,
        objects=np.stack(objects),
        epochs=noted,
        seconds=[seconds[epoch] for epoch in noted],
        startup_s=startup_s,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
