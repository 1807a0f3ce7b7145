"""multilearn: one Learner for PyTorch, TensorFlow and JAX."""

from multilearn import backend as _backend
from multilearn import checkpoint, errors, events, loggers, metrics, outputs, renderers, schedulers
from multilearn.builder import LearnerBuilder
from multilearn.data import DataLoader
from multilearn.interrupter import Interrupter
from multilearn.learner import Learner
from multilearn.seed import set_seed

__all__ = [
    "DataLoader",
    "Interrupter",
    "Learner",
    "LearnerBuilder",
    "checkpoint",
    "errors",
    "events",
    "loggers",
    "metrics",
    "outputs",
    "renderers",
    "schedulers",
    "set_seed",
]

_backend.announce()
