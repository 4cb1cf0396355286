"""Export a trained run, of either backend, to one ONNX file that describes and proves itself."""

from .precision import PrecisionReport as PrecisionReport
from .precision import export_precision as export_precision
from .run import ExportReport as ExportReport
from .run import export_run as export_run
