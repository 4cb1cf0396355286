"""Train a ptychography network from scans, in TensorFlow or in PyTorch Lightning."""

from .backends import BACKENDS as BACKENDS
from .config.config import TrainingConfig as TrainingConfig
from .config.config import load_config as load_config
from .loop import Watcher as Watcher
from .trainer import TrainingResult as TrainingResult
from .trainer import train as train
