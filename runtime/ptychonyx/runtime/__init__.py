"""Reconstruct with a trained model: numpy, scipy, h5py and one onnxruntime.

What is offered here is the public face; modules below it may change. What few callers need is
imported only when it is asked for, which keeps the start of a command short.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from . import errors as errors
from . import stitching as stitching
from .comparison.metrics import compare_objects as compare_objects
from .formats import load_object as load_object
from .formats import load_probe as load_probe
from .formats import load_product as load_product
from .formats import load_scan as load_scan
from .formats import save_product as save_product
from .formats import save_scan as save_scan
from .model.manifest import Manifest as Manifest
from .model.manifest import SolverManifest as SolverManifest
from .model.model_file import load_manifest as load_manifest
from .model.session import Model as Model
from .plausibility import Finding as Finding
from .plausibility import check_scan as check_scan
from .product import Product as Product
from .reconstruction.options import ReconstructionOptions as ReconstructionOptions
from .reconstruction.reconstruct import reconstruct as reconstruct
from .reconstruction.reconstruct import reconstruct_in_steps as reconstruct_in_steps
from .scan import Frame as Frame
from .scan import Scan as Scan
from .turns import Turn as Turn

if TYPE_CHECKING:
    from .fleet.fleet import reconstruct_many as reconstruct_many
    from .model.solver import SolverModel as SolverModel
    from .orientation import check_orientation as check_orientation
    from .simulation.scan import SimulationOptions as SimulationOptions
    from .simulation.scan import simulate_scan as simulate_scan
    from .solving.halves import solve_halves as solve_halves
    from .solving.network.from_model import open_solver as open_solver
    from .solving.options import SolvingOptions as SolvingOptions
    from .solving.refine import refine as refine
    from .solving.solve import solve as solve
    from .solving.steps import solve_in_steps as solve_in_steps

    __version__: str

_DEFERRED = {
    "reconstruct_many": ".fleet.fleet",
    "SolverModel": ".model.solver",
    "check_orientation": ".orientation",
    "SimulationOptions": ".simulation.scan",
    "simulate_scan": ".simulation.scan",
    "SolvingOptions": ".solving.options",
    "open_solver": ".solving.network.from_model",
    "refine": ".solving.refine",
    "solve": ".solving.solve",
    "solve_halves": ".solving.halves",
    "solve_in_steps": ".solving.steps",
}
"""Name -> the module that holds it."""


def __getattr__(name: str) -> Any:
    """Return what is imported only when it is asked for."""
    if name == "__version__":
        return _import_module("importlib.metadata").version("ptychonyx")
    if name in _DEFERRED:
        return getattr(_import_module(_DEFERRED[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
