"""What a model file promises: one JSON document in the metadata of the .onnx, with its sha256."""

from .facts import METADATA_KEY as METADATA_KEY
from .facts import PRECISIONS as PRECISIONS
from .facts import SCHEMA_VERSION as SCHEMA_VERSION
from .facts import ModelFacts as ModelFacts
from .metadata import DIGEST_KEY as DIGEST_KEY
from .metadata import read_metadata as read_metadata
from .metadata import seal as seal
from .metadata import to_metadata as to_metadata
from .patches import INPUT_NAMES as INPUT_NAMES
from .patches import OUTPUT_NAME as OUTPUT_NAME
from .patches import Manifest as Manifest
from .read import AnyManifest as AnyManifest
from .read import read_manifest as read_manifest
from .solver import CHANGE as CHANGE
from .solver import FEATURES as FEATURES
from .solver import SolverManifest as SolverManifest
from .solver_proof import NUM_CHANGE as NUM_CHANGE
