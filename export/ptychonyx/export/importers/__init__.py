"""Turn networks that other projects trained into model files."""

from .foreign_onnx import import_onnx as import_onnx
from .head import InputRule as InputRule
from .tail import OUTPUTS as OUTPUTS
