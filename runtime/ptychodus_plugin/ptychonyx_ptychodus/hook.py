"""How Ptychonyx becomes part of a starting Ptychodus.

Ptychodus has plugins for workflows, but none for reconstructors: `ModelCore` hands a fixed list of
libraries to `ProcessingCore`. It loads the plugins before that, so a plugin can still lengthen the
list on its way.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .workflow import WatchedFolders

_logger = logging.getLogger("ptychonyx.ptychodus")

CORE = "ptychodus.model.core"
LIBRARIES, REGISTRY = "algorithm_libraries", "settings_registry"
INFERENCE_NAME, SOLVING_NAME = "Ptychonyx Inference", "Ptychonyx Solver"


def register(registry: Any) -> None:
    """Add the workflows, and the reconstructor library if the application is starting.

    Ptychodus' other commands load the plugins, too; they have no reconstructors.
    """
    core = sys.modules.get(CORE)
    if core is None:
        return
    reason = why_not(core)
    if reason is not None:
        _logger.warning(
            "Ptychonyx is switched off: %s. Ptychodus 1.5.1 or newer is needed, this is %s; "
            "`ptychonyx reconstruct-folder` works with any.",
            reason,
            _release(),
        )
        return
    from .workflow import INFERENCE, SOLVING, WatchedFolders

    workflows = [WatchedFolders(INFERENCE), WatchedFolders(SOLVING)]
    names = [("Ptychonyx", INFERENCE_NAME), ("PtychonyxSolver", SOLVING_NAME)]
    for workflow, (simple_name, display_name) in zip(workflows, names, strict=True):
        registry.file_based_workflows.register_plugin(
            workflow, simple_name=simple_name, display_name=display_name
        )
    extend(core.ProcessingCore, functools.partial(make_library, workflows))


def why_not(core: Any) -> str | None:
    """Return why a library cannot be added to this Ptychodus, or None if it can."""
    processing = getattr(core, "ProcessingCore", None)
    if processing is None:
        return "there is no ProcessingCore to add a reconstructor to"
    if not {LIBRARIES, REGISTRY} <= set(inspect.signature(processing.__init__).parameters):
        return "ProcessingCore takes other arguments than those that are known"
    try:
        from . import library  # noqa: F401 — only whether all its imports succeed
    except ImportError as error:
        if not (error.name or "").startswith("ptychodus"):
            raise
        return str(error)
    return None


def make_library(workflows: Sequence[WatchedFolders], registry: Any) -> Any:
    """Build the library of one ModelCore, and tell workflows and GUI of it."""
    from .library import PtychonyxLibrary
    from .page import offer_page

    library = PtychonyxLibrary(registry)
    for workflow in workflows:
        workflow.library = library
    offer_page(library)
    return library


def extend(processing: Any, make: Callable[[Any], Any]) -> None:
    """Let a ProcessingCore get one library more than it was given.

    A later call replaces an earlier one of ours: each ModelCore loads the plugins again.
    """
    original = getattr(processing.__init__, "_ptychonyx_original", processing.__init__)
    signature = inspect.signature(original)

    @functools.wraps(original)
    def init(*arguments: Any, **keywords: Any) -> None:
        given = signature.bind(*arguments, **keywords)
        try:
            library = make(given.arguments[REGISTRY])
        except Exception as error:  # the border: Ptychodus starts without us then
            _logger.warning("Ptychonyx is switched off: %s", error, exc_info=True)
        else:
            given.arguments[LIBRARIES] = [*given.arguments[LIBRARIES], library]
        original(*given.args, **given.kwargs)

    init._ptychonyx_original = original  # type: ignore[attr-defined]
    processing.__init__ = init


def _release() -> str:
    try:
        return metadata.version("ptychodus")
    except metadata.PackageNotFoundError:
        return "not installed as a package"
