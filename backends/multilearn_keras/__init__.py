"""multilearn on Keras 3: PyTorch, TensorFlow and JAX.

Importing it makes Keras' random draws the same on the three frameworks, and lets a learner see what a step assigns.
"""

import multilearn as _multilearn  # isort: skip  (chooses the framework before Keras is loaded)

from multilearn_keras import random as _random
from multilearn_keras.array_ops import KerasOps
from multilearn_keras.backend import KerasBackend
from multilearn_keras.keras_files import save_model
from multilearn_keras.keras_schedule import KerasSchedule
from multilearn_keras.metrics import KerasMetric
from multilearn_keras.state import assignments as _assignments
from multilearn_keras.tasks import (
    Classification,
    LanguageModel,
    MultiLabelClassification,
    Regression,
    SequenceClassification,
)
from multilearn_keras.weights import load_weights

__all__ = [
    "Classification",
    "KerasBackend",
    "KerasMetric",
    "KerasOps",
    "KerasSchedule",
    "LanguageModel",
    "MultiLabelClassification",
    "Regression",
    "SequenceClassification",
    "load_weights",
    "save_model",
]

del _multilearn
_random.install()
_assignments.install()
