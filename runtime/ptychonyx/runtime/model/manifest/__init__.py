"""What a model file promises: one JSON document in the metadata of the .onnx, of one kind of model."""

from .facts import METADATA_KEY as METADATA_KEY
from .facts import PRECISIONS as PRECISIONS
from .facts import SCHEMA_VERSION as SCHEMA_VERSION
from .facts import ModelFacts as ModelFacts
from .patches import INPUT_NAMES as INPUT_NAMES
from .patches import OUTPUT_NAME as OUTPUT_NAME
from .patches import Manifest as Manifest
from .read import AnyManifest as AnyManifest
from .read import read_manifest as read_manifest
from .solver import CHANGE as CHANGE
from .solver import FEATURES as FEATURES
from .solver import SolverManifest as SolverManifest
from .solver_proof import NUM_CHANGE as NUM_CHANGE
