"""multilearn: one Learner for PyTorch, TensorFlow and JAX."""

from multilearn import (
    backend,
    checkpoint,
    early_stopping,
    errors,
    events,
    history,
    loggers,
    metrics,
    outputs,
    protocols,
    renderers,
    schedulers,
)
from multilearn.builder import LearnerBuilder
from multilearn.data import DataLoader
from multilearn.evaluator import Evaluator
from multilearn.interrupter import Interrupter
from multilearn.learner import Learner
from multilearn.position import Position
from multilearn.prediction import predict
from multilearn.seed import set_seed

__all__ = [
    "DataLoader",
    "Evaluator",
    "Interrupter",
    "Learner",
    "LearnerBuilder",
    "Position",
    "backend",
    "checkpoint",
    "early_stopping",
    "errors",
    "events",
    "history",
    "loggers",
    "metrics",
    "outputs",
    "predict",
    "protocols",
    "renderers",
    "schedulers",
    "set_seed",
]

backend.announce()
