"""The graph of a model file: read, judged and written again, without running it."""

from .onnx_file import FLOAT32 as FLOAT32
from .onnx_file import OnnxError as OnnxError
from .onnx_file import OnnxFile as OnnxFile
from .onnx_file import Shape as Shape
from .onnx_file import Value as Value
from .onnx_file import parse_onnx as parse_onnx
from .safety import check_safe as check_safe
from .sizes import check_sizes as check_sizes
from .writing import write_onnx as write_onnx
