"""Our settings pages in Ptychodus' window.

Its pages are listed in the controller, which is imported only when a window opens. So a finder
waits for that import and adds ours; without a window, nothing of Qt is ever touched.
"""

from __future__ import annotations

import importlib.machinery
import logging
import re
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ptychodus.api.observer import Observable, Observer

from ptychonyx.runtime.model.providers import provider_names
from ptychonyx.runtime.reconstruction.options import PATCH_WEIGHTS, SUBPIXEL_METHODS
from ptychonyx.runtime.reconstruction.recipe import PROBE_SCALES
from ptychonyx.runtime.reconstruction.settings import SOLVER_KEY, SOLVING_KEYS
from ptychonyx.runtime.solving.options import NOISES

from .workflow import INFERENCE

if TYPE_CHECKING:
    from .library import PtychonyxLibrary

_logger = logging.getLogger("ptychonyx.ptychodus")

CONTROLLER = "ptychodus.controller.processing.core"
LOSSES_TO_CHOOSE = ("amplitude", "poisson")
"""Those against the measured counts; others need more than one word."""
SOLVING_WORDS: dict[str, Sequence[str]] = {
    "noise": NOISES,
    "keep_probe_scale": tuple(PROBE_SCALES),
}
"""Field of `SolvingOptions` -> the words it may be. Other fields are typed in, or ticked: an option
that is new in the runtime is on the page by itself, and gets a line here if it is one of few words,
such as those of refined positions."""
SOLVING_TIPS = {
    "passes": "auto, or a number",
    "budget_s": "empty: no limit",
    "num_modes": "empty: those of the probe; auto; or a number",
}


def offer_page(library: PtychonyxLibrary) -> None:
    """Add the pages of this library to the window, if one opens."""
    if CONTROLLER in sys.modules:
        add_page(sys.modules[CONTROLLER], library)
        return
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _Waiting)]
    sys.meta_path.insert(0, _Waiting(library))


def add_page(controller: ModuleType, library: PtychonyxLibrary) -> None:
    """Let the controller find more pages than it was given, and keep Infer off without a model.

    Ptychodus switches Infer on with each product that is opened, and off only when another
    algorithm is chosen; where ours is the only one, it could not be chosen.
    """

    class Page(controller.ReconstructorViewControllerFactory):  # type: ignore[name-defined]
        """Ptychodus asks it for the widgets."""

        def __init__(self, file_dialogs: Any) -> None:
            self._file_dialogs = file_dialogs

        @property
        def name(self) -> str:
            """Return the library whose page it is."""
            return library.name

        def create_view_controller(self, reconstructor_name: str) -> Any:
            """Return the widget."""
            if reconstructor_name == library.solver.name.casefold():
                return build_solving_page(library, self._file_dialogs)
            return build_page(library)

    def populate_around(original: Callable[..., None]) -> Callable[..., None]:
        def populate(self: Any, factories: Sequence[Any]) -> None:
            original(self, [*factories, Page(self._file_dialog_factory)])
            parameter = self._algorithm_parameter
            if parameter.get_value() not in parameter.available_reconstructors():
                parameter.set_value(INFERENCE)
            self._ptychonyx_after_task = _AfterTask(self)

        return populate

    def sync_around(original: Callable[..., None]) -> Callable[..., None]:
        def sync(self: Any) -> None:  # no more arguments, or Qt hands over those of its signals
            original(self)
            if self._algorithm_parameter.get_current_reconstructor() is library.reconstructor:
                button = self._actions_view.reconstruct_button
                button.setEnabled(button.isEnabled() and library.reconstructor.is_model_loaded())

        return sync

    _wrap(controller.ProcessingController, "_populate_stacked_widget", populate_around)
    _wrap(controller.ProcessingController, "_sync_action_buttons_to_selection", sync_around)


class _AfterTask(Observer):
    """Look again whether Infer can be pressed when a task has ended: a training loads its model."""

    def __init__(self, controller: Any) -> None:
        super().__init__()
        self._controller = controller
        self._monitor = controller._processing_api.task_monitor
        self._monitor.add_observer(self)

    def _update(self, observable: Observable) -> None:
        if not self._monitor.is_processing:
            self._controller._sync_action_buttons_to_selection()


def _wrap(owner: Any, name: str, around: Callable[[Callable[..., None]], Any]) -> None:
    """Put a method around another; a later call replaces what an earlier one put there."""
    method = getattr(owner, name)
    original = getattr(method, "_ptychonyx_original", method)
    wrapped = around(original)
    wrapped._ptychonyx_original = original
    setattr(owner, name, wrapped)


def build_page(library: PtychonyxLibrary) -> Any:
    """Build the widget with the settings of networks."""
    from ptychodus.controller.parameters import ParameterViewBuilder

    from ptychonyx.training.backends import BACKENDS

    builder = ParameterViewBuilder()
    inference, training = library.inference.parameters, library.training.parameters
    group = "Inference"
    builder.add_combo_box(inference["provider"], provider_names(), "Provider:", group=group)
    builder.add_spin_box(inference["batch_size"], "Batch Size:", group=group)
    builder.add_line_edit(inference["scale"], "Input Scale:", group=group)
    builder.add_combo_box(inference["patch_weights"], PATCH_WEIGHTS, "Patch Weights:", group=group)
    builder.add_combo_box(inference["subpixel"], SUBPIXEL_METHODS, "Subpixel Method:", group=group)
    builder.add_check_box(inference["align_phase"], "Align Phase of Patches:", group=group)
    builder.add_spin_box(inference["residual_patterns"], "Residual Patterns:", group=group)
    separate = library.inference.separate_process
    builder.add_check_box(separate, "Use Separate Process:", group=group)
    group = "Training"
    builder.add_combo_box(training["backend"], list(BACKENDS), "Backend:", group=group)
    builder.add_spin_box(training["epochs"], "Epochs:", group=group)
    builder.add_spin_box(training["batch_size"], "Batch Size:", group=group)
    builder.add_decimal_line_edit(training["filters"], "Filter Factor:", group=group)
    builder.add_spin_box(training["num_merged"], "Merged Patterns:", group=group)
    builder.add_combo_box(training["loss"], LOSSES_TO_CHOOSE, "Loss:", group=group)
    builder.add_decimal_line_edit(training["learning_rate"], "Learning Rate:", group=group)
    return builder.build_widget()


def build_solving_page(library: PtychonyxLibrary, file_dialogs: Any) -> Any:
    """Build the widget with the settings of passes.

    Parameters
    ----------
    library : PtychonyxLibrary
    file_dialogs
        Ptychodus' factory of file dialogues.
    """
    from ptychodus.controller.parameters import ParameterViewBuilder

    builder = ParameterViewBuilder(file_dialogs)
    inference, solving = library.inference, library.solving
    group = "Passes"
    for name, parameter in solving.parameters.items():
        label, tip = _label(SOLVING_KEYS[name]), SOLVING_TIPS.get(name, "")
        if name in SOLVING_WORDS:
            builder.add_combo_box(parameter, SOLVING_WORDS[name], label, tool_tip=tip, group=group)
        elif isinstance(parameter.get_value(), bool):
            builder.add_check_box(parameter, label, tool_tip=tip, group=group)
        else:
            builder.add_line_edit(parameter, label, tool_tip=tip, group=group)
    residuals = inference.parameters["residual_patterns"]
    builder.add_spin_box(residuals, "Residual Patterns:", group=group)
    builder.add_check_box(inference.separate_process, "Use Separate Process:", group=group)
    group = "Network between Passes"
    builder.add_file_opener(
        solving.network,
        _label(SOLVER_KEY),
        name_filters=["Ptychonyx Solvers (*.onnx)"],
        tool_tip="empty: the network that ships",
        group=group,
    )
    provider = inference.parameters["provider"]
    builder.add_combo_box(provider, provider_names(), "Provider:", group=group)
    return builder.build_widget()


def _label(key: str) -> str:
    """Return a setting's key in words."""
    return f"{re.sub(r'(?<!^)(?=[A-Z])', ' ', key)}:"


class _Waiting(MetaPathFinder):
    """Wait for one import, once."""

    def __init__(self, library: PtychonyxLibrary) -> None:
        self._library = library

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != CONTROLLER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenAddPage(spec.loader, self._library)
        return spec


class _ThenAddPage(Loader):
    """Import a module as its own loader does, then add the page."""

    def __init__(self, loader: Loader, library: PtychonyxLibrary) -> None:
        self._loader, self._library = loader, library

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        try:
            add_page(module, self._library)
        except Exception as error:  # the border: the window opens without our page
            _logger.warning("Ptychonyx has no settings page here: %s", error, exc_info=True)
