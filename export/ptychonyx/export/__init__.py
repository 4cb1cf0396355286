"""Export a trained run, of either backend, to one ONNX file that describes and proves itself."""

from .model_file import ExportReport as ExportReport
from .model_file import export_run as export_run
from .precision import PrecisionReport as PrecisionReport
from .precision import export_precision as export_precision
