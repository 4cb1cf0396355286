"""Export a trained run to one ONNX file that describes and proves itself, or derive one of fewer bits."""

from .errors import ExportMismatchError as ExportMismatchError
from .errors import PrecisionLossError as PrecisionLossError
from .precision import DerivedReport as DerivedReport
from .precision import derive_model as derive_model
from .proven import ExportReport as ExportReport
from .run import export_run as export_run
from .solver import SolverFacts as SolverFacts
from .solver import export_solver as export_solver
from .solver_precision import derive_solver as derive_solver
