"""Runs inside an environment with Ptychodus and PyQt5: what a user sees, without a screen."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drive import ALGORITHM, SOLVER, Lines, load

SIZE_PX = (1400, 900)


class Window:
    """Ptychodus' own window on a scan, as `python -m ptychodus` builds it."""

    def __init__(self, model: Any, folder: Path) -> None:
        from PyQt5.QtWidgets import QApplication

        self.model = model
        self.app = QApplication.instance() or QApplication(sys.argv[:1])
        from ptychodus.view import ViewCore

        self.view = ViewCore(is_developer_mode_enabled=False)
        from ptychodus.controller import ControllerCore

        self.controller = ControllerCore(model, self.view)
        self.view.resize(*SIZE_PX)
        self.controller.show_main_window("Ptychodus")
        load(model, folder)
        self.settle()

    @property
    def processing(self) -> Any:
        return self.controller._processing_controller

    def settle(self, is_done: Callable[[], bool] = lambda: True, limit_s: float = 300) -> None:
        """Let Ptychodus and Qt work until something is there."""
        deadline = time.monotonic() + limit_s
        for _ in range(5):
            self._work()
        while not is_done() and time.monotonic() < deadline:
            self._work()

    def _work(self) -> None:
        self.model.run_tasks()
        self.app.processEvents()
        time.sleep(0.05)

    def show(self, action: str) -> None:
        chosen = getattr(self.view, action)
        chosen.trigger()
        self.settle()

    def take(self, path: Path) -> None:
        self.settle()
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.view.grab().save(str(path))


def show_phase(view: Any) -> None:
    """Show the phase, in a range that fits it, as large as it goes."""
    from PyQt5.QtWidgets import QComboBox, QPushButton, QToolButton

    for combo in view.findChildren(QComboBox):
        if (index := combo.findText("Phase")) >= 0:
            combo.setCurrentIndex(index)
            combo.textActivated.emit("Phase")
    for button in view.findChildren(QPushButton):
        if button.text() == "Auto":
            button.click()
    for button in view.findChildren(QToolButton):
        if button.toolTip() == "Home":
            button.click()


def describe(widget: Any) -> list[str]:
    """Return the texts of the labels of a settings page."""
    from PyQt5.QtWidgets import QGroupBox, QLabel

    labels = [each.text() for each in widget.findChildren(QLabel)]
    return [each.title() for each in widget.findChildren(QGroupBox)] + labels


def choose(window: Window, algorithm: str) -> list[str]:
    """Choose an algorithm from the box, and return all that it offers."""
    window.show("processing_action")
    combo = window.processing._algorithm_view_controller.get_widget()
    listed = [combo.itemText(index) for index in range(combo.count())]
    combo.setCurrentIndex(listed.index(algorithm))
    combo.textActivated.emit(algorithm)
    window.settle()
    return listed


def press(window: Window, button: Any) -> Any:
    """Press a button, wait for the product that it makes, and return it."""
    repository = window.model.product_core.product_repository
    monitor = window.model.processing_core.processing_api.task_monitor
    button.click()
    window.settle(lambda: len(repository) > 1 and monitor.get_progress() == 100)
    window.settle(lambda: not monitor.is_processing)
    return repository[len(repository) - 1].get_product()


def look_at_solver(folder: Path, pictures: Path) -> dict[str, Any]:
    """Type settings into the page of passes, and press Reconstruct."""
    from ptychodus.model import ModelCore
    from PyQt5.QtWidgets import QCheckBox, QFormLayout, QLineEdit

    with ModelCore(log_level=logging.INFO) as model:
        window = Window(model, folder)
        choose(window, SOLVER)
        page = window.processing._stacked_widget.currentWidget()
        fields = {}
        for form in page.findChildren(QFormLayout):
            for row in range(form.rowCount()):
                label = form.itemAt(row, QFormLayout.LabelRole)
                if label is not None:
                    fields[label.widget().text()] = form.itemAt(row, QFormLayout.FieldRole).widget()
        assert isinstance(fields["Passes:"], QLineEdit)
        fields["Passes:"].setText("4")
        fields["Passes:"].editingFinished.emit()
        assert isinstance(fields["Refine Probe:"], QCheckBox)
        fields["Refine Probe:"].click()
        window.take(pictures / "1-settings.png")
        button = window.processing._actions_view.reconstruct_button
        result = press(window, button)
        window.take(pictures / "2-solved.png")
        from ptychodus.api.io import save_product

        save_product(pictures / "product.h5", result)
        return {
            "page": type(page).__name__,
            "texts": describe(page),
            "button": button.text(),
            "losses": [loss.value for loss in result.losses],
        }


def look(folder: Path, pictures: Path) -> dict[str, Any]:
    """Load a model, and press Infer."""
    from ptychodus.model import ModelCore

    with ModelCore(log_level=logging.INFO) as model:
        window = Window(model, folder)
        processing = window.processing
        listed = choose(window, ALGORITHM)
        page = processing._stacked_widget.currentWidget()
        button = processing._actions_view.reconstruct_button
        before = button.isEnabled()
        window.take(pictures / "1-before-loading.png")
        processing._file_dialog_factory.get_open_file_path = lambda *_, **__: (
            folder / "model.onnx",
            "",
        )
        processing._load_model_action.trigger()
        window.settle()
        after = button.isEnabled()
        window.take(pictures / "2-model-loaded.png")
        result = press(window, button).object_.get_array()
        repository = model.product_core.product_repository
        window.take(pictures / "3-inferred.png")
        window.show("object_action")
        table = window.view.object_view.tree_view
        table.setCurrentIndex(table.model().index(len(repository) - 1, 0))
        window.settle()
        show_phase(window.view.object_image_view)
        window.take(pictures / "4-result.png")
        return {
            "listed": listed,
            "page": type(page).__name__,
            "texts": describe(page),
            "button": button.text(),
            "enabled": [before, after],
            "products": [item.get_name() for item in repository],
            "mean": float(abs(result).mean()),
        }


def main() -> None:
    log = Lines()
    logging.basicConfig(level=logging.INFO, handlers=[log, logging.StreamHandler(sys.stdout)])
    looks = {"infer": look, "solve": look_at_solver}
    result = looks[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    print("RESULT", json.dumps(result | {"log": log.lines}))


if __name__ == "__main__":
    main()
