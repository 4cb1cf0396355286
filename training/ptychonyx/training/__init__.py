"""Train a ptychography network from scans, in TensorFlow or in PyTorch Lightning."""

from .backends import BACKENDS as BACKENDS
from .backends import require_backend as require_backend
from .config.config import TrainingConfig as TrainingConfig
from .config.config import load_config as load_config
