"""Reconstruct with a trained model: numpy, scipy, h5py and one onnxruntime."""

from .comparison.metrics import compare_objects as compare_objects
from .formats import load_object as load_object
from .formats import load_probe as load_probe
from .formats import load_product as load_product
from .formats import load_scan as load_scan
from .formats import save_product as save_product
from .formats import save_scan as save_scan
from .model.model_file import load_manifest as load_manifest
from .model.session import Model as Model
from .product import Product as Product
from .reconstruction.options import ReconstructionOptions as ReconstructionOptions
from .reconstruction.reconstruct import reconstruct as reconstruct
from .reconstruction.reconstruct import reconstruct_in_steps as reconstruct_in_steps
from .scan import Frame as Frame
from .scan import Scan as Scan
from .stitching.mosaic import Mosaic as Mosaic
from .stitching.patches import Canvas as Canvas
