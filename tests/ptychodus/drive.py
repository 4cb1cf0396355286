"""Runs inside an environment with a real Ptychodus, without a window: one task, one JSON line.

The tests start it; it imports nothing of the tests, and the task's name is its first argument.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ALGORITHM, SOLVER = "ptychonyx_onnx", "ptychonyx_solver"


class Lines(logging.Handler):
    """Keep what Ptychodus' log shows from a level on, one entry for each message."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append([record.levelname, record.name, record.getMessage()])


def start(log: Lines) -> Any:
    logging.basicConfig(level=logging.INFO, handlers=[log, logging.StreamHandler(sys.stdout)])
    from ptychodus.model import ModelCore

    return ModelCore(log_level=logging.INFO)


def load(model: Any, folder: Path) -> Any:
    api = model.workflow_api
    diffraction = api.load_assembled_diffraction_data(folder / "diffraction.h5")
    return api.load_product(folder / "product.h5", file_type="HDF5", diffraction=diffraction)


def set_options(model: Any, options: list[str]) -> None:
    for option in options:
        section, key, value = option.split("=")
        model.settings_registry[section].parameters()[key].set_value_from_string(value)


def task_list(log: Lines) -> dict[str, Any]:
    model = start(log)
    groups = {
        name: list(model.settings_registry[name].parameters())
        for name in model.settings_registry
        if "tychonyx" in name
    }
    return {
        "reconstructors": list(model.workflow_api.available_reconstructors()),
        "workflows": list(model.automation_core.presenter.available_workflows()),
        "settings": groups,
        "modules": sorted(
            {"torch", "tensorflow", "PyQt5", "onnxruntime", "ptychonyx_ptychodus"}
            & set(sys.modules)
        ),
    }


def task_infer(log: Lines, folder: str, output: str, *options: str) -> dict[str, Any]:
    """Load a model, infer, save; report what was yielded and whether the application still runs."""
    return run(log, ALGORITHM, folder, output, *options)


def task_solve(log: Lines, folder: str, output: str, *options: str) -> dict[str, Any]:
    """Solve by passes, and otherwise as `task_infer`."""
    return run(log, SOLVER, folder, output, *options)


def run(log: Lines, algorithm: str, folder: str, output: str, *options: str) -> dict[str, Any]:
    with start(log) as model:
        set_options(model, list(options))
        processing = model.processing_core.processing_api
        product = load(model, Path(folder))
        checkpoints = Path(output).with_suffix("")
        checkpoints.mkdir()
        failure, losses, same = None, [], None
        try:
            if algorithm == ALGORITHM and Path(folder, "model.onnx").exists():
                processing.load_model_from_file(Path(folder, "model.onnx"), ALGORITHM)
            result = product.reconstruct_local(
                algorithm=algorithm, output_product_file=checkpoints / "product.h5", block=True
            )
        except Exception as error:
            failure = str(error)
        else:
            result.save_product(Path(output), file_type="HDF5")
            result.save_product(Path(output).with_suffix(".npz"), file_type="NPZ")
            if algorithm == SOLVER:
                solved = result.get_product()
                losses = [[loss.epoch, loss.value] for loss in solved.losses]
                same = is_read_back(solved, Path(output))
        model.settings_registry.save_settings(Path(output).with_suffix(".ini"))
        return {
            "failure": failure,
            "losses": losses,
            "read_back": same,
            "checkpoints": sorted(path.name for path in checkpoints.iterdir()),
            "still": list(model.workflow_api.available_reconstructors()),
            "modules": sorted({"torch", "tensorflow", "PyQt5"} & set(sys.modules)),
        }


def is_read_back(product: Any, path: Path) -> bool:
    """Tell whether Ptychodus reads the probe and the positions that it has written."""
    import numpy
    from ptychodus.api.io import load_product

    written = load_product(path)
    places = [[(each.y_m, each.x_m) for each in one.probe_positions] for one in (written, product)]
    probes = [one.probes.get_array() for one in (written, product)]
    return bool(numpy.array_equal(*probes)) and places[0] == places[1]


def task_move(log: Lines, folder: str, output: str) -> dict[str, Any]:
    """Convert a product whose patterns were moved by (0.25, -1.5) pixels, but for the first."""
    import numpy

    from ptychonyx.runtime import Product

    with start(log) as model:
        from ptychonyx_ptychodus.convert import to_ptychodus, to_scan

        parameters = load(model, Path(folder)).get_reconstruct_input()
        scan = to_scan(parameters)
        assert scan.object_ is not None
        assert scan.position_indexes is not None
        assert scan.probe is not None
        moves_px = numpy.tile([0.25, -1.5], (scan.num_patterns, 1))
        moves_px[0] = 0
        product = Product(
            object_=scan.object_,
            object_corner_px=(0, 0),
            corners_px=scan.corners_px + moves_px,
            position_indexes=scan.position_indexes,
            window_px=scan.window_px,
            probe=scan.probe,
            metadata={"probe_source": "file"},
        )
        from ptychodus.api.io import save_product

        save_product(Path(output), to_ptychodus(product, parameters.product))
        return {}


def task_old(log: Lines) -> dict[str, Any]:
    """Start a release that may be of any age, and tell what it lists."""
    with start(log) as model:
        names = [name for name in dir(model) if "reconstructor" in name or "processing" in name]
        return {"runs": True, "names": names, "settings": list(model.settings_registry)}


def task_cancel(log: Lines, algorithm: str, folder: str, *options: str) -> dict[str, Any]:
    """Stop after the first yield; then start again, to show that everything still works."""
    with start(log) as model:
        set_options(model, list(options))
        processing = model.processing_core.processing_api
        if algorithm == ALGORITHM:
            processing.load_model_from_file(Path(folder, "model.onnx"), ALGORITHM)
        monitor = processing.task_monitor
        product = load(model, Path(folder))
        update, seen = monitor.update_progress, []

        def update_and_stop(progress: int, goal: int) -> None:
            seen.append(progress)
            update(progress, goal)
            if progress > 0:
                monitor.stop_processing()

        monitor.update_progress = update_and_stop
        kept = product.reconstruct_local(algorithm=algorithm, block=True).get_product()
        stopped_at = list(seen)
        monitor.update_progress = update
        product.reconstruct_local(algorithm=algorithm, block=True)
        return {
            "stopped_at": stopped_at,
            "progress": monitor.get_progress(),
            "losses": [loss.value for loss in kept.losses],
            "is_changed": bool((kept.object_.get_array() != 1).any()),
        }


def task_train(log: Lines, folder: str, data: str, *options: str) -> dict[str, Any]:
    """Export training data, train, and infer with what came out; or stop after the first epoch."""
    with start(log) as model:
        stop_early = "stop" in options
        set_options(model, [option for option in options if option != "stop"])
        processing = model.processing_core.processing_api
        monitor = processing.task_monitor
        product = load(model, Path(folder))
        product.export_training_data(Path(data, "exported.h5"), algorithm=ALGORITHM)
        update, seen = monitor.update_progress, []

        def update_and_see(progress: int, goal: int) -> None:
            seen.append(progress)
            update(progress, goal)
            if stop_early and progress > 0:
                monitor.stop_processing()

        monitor.update_progress = update_and_see
        failure, losses = None, []
        try:
            product.train_reconstructor_local(
                Path(data), Path(data), algorithm=ALGORITHM, block=True
            )
            if not stop_early:
                result = product.reconstruct_local(algorithm=ALGORITHM, block=True).get_product()
                losses = [[loss.epoch, loss.value] for loss in result.losses]
        except Exception as error:
            failure = str(error)
        return {"failure": failure, "progress": seen, "losses": losses}


def task_open_training_data(log: Lines, path: str) -> dict[str, Any]:
    """Open one file as diffraction data and as product, with Ptychodus' own readers."""
    from ptychodus.api.diffraction import CropRegion

    with start(log) as model:
        api, kind = model.workflow_api, "Ptychodus_Training_Data"
        crop = CropRegion((0, 32), (0, 32))
        diffraction = api.load_diffraction_data(
            Path(path), file_type=kind, crop_region=crop, block=True
        )
        given = api.load_product(Path(path), file_type=kind, diffraction=diffraction)
        parameters = given.get_reconstruct_input()
        geometry = parameters.product.object_.get_geometry()
        return {
            "patterns": list(parameters.diffraction_patterns.shape),
            "counts": int(parameters.diffraction_patterns.sum()),
            "x_px": list(
                geometry.map_probe_positions_to_object_x_px(parameters.product.probe_positions)
            ),
        }


def task_workflow(log: Lines, root: str, name: str, *options: str) -> dict[str, Any]:
    """Let the automation find what lies under a folder, and wait for the products."""
    with start(log) as model:
        set_options(model, list(options))
        automation = model.automation_core
        automation.settings.workflow.set_value(name)
        automation.settings.data_directory.set_value(Path(root))
        automation.settings.watchdog_delay_s.set_value(0)
        automation.presenter.load_existing_datasets_to_repository()
        wanted = [
            path.parent.with_name("output") for path in Path(root).glob("**/input/product.h5")
        ]
        wait(lambda: all((each / "product.h5").is_file() for each in wanted), model.run_tasks)
        model.run_tasks()
        names = [item.get_name() for item in model.product_core.product_repository]
        return {"products": names}


def wait(is_done: Callable[[], bool], run_tasks: Callable[[], None], limit_s: float = 300) -> None:
    deadline = time.monotonic() + limit_s
    while not is_done() and time.monotonic() < deadline:
        run_tasks()
        time.sleep(0.1)


def main() -> None:
    log = Lines()
    name, *arguments = sys.argv[1:]
    for hidden in filter(None, os.environ.get("HIDDEN", "").split(",")):
        sys.modules[hidden] = None  # type: ignore[assignment]
    result = globals()[f"task_{name}"](log, *arguments)
    print("RESULT", json.dumps(result | {"log": log.lines}))


if __name__ == "__main__":
    main()
