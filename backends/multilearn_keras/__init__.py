"""multilearn on Keras 3: PyTorch, TensorFlow and JAX.

Importing it makes Keras' random draws the same on the three frameworks, and lets a learner see what a step assigns.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

import multilearn as _multilearn  # isort: skip  (chooses the framework before Keras is loaded)

from multilearn.foreign_words import suggesting as _suggesting
from multilearn_keras.backend import KerasBackend
from multilearn_keras.metrics.array_ops import KerasOps
from multilearn_keras.metrics.keras_metric import KerasMetric
from multilearn_keras.optimizers.adopt import KerasSchedule
from multilearn_keras.patches.install import install as _install
from multilearn_keras.tasks import (
    Classification,
    CompiledModel,
    LanguageModel,
    MultiLabelClassification,
    Regression,
    SequenceClassification,
    Turn,
    gradient,
)
from multilearn_keras.weights.keras_files import save_model
from multilearn_keras.weights.load import load_weights

__all__ = [
    "Classification",
    "CompiledModel",
    "KerasBackend",
    "KerasMetric",
    "KerasOps",
    "KerasSchedule",
    "LanguageModel",
    "MultiLabelClassification",
    "Regression",
    "SequenceClassification",
    "Turn",
    "gradient",
    "load_weights",
    "save_model",
]

del _multilearn
_install()

if not _TYPE_CHECKING:  # a type checker would take any name for one that is there
    __getattr__ = _suggesting(globals())
