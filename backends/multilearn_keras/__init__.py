"""multilearn on Keras 3: PyTorch, TensorFlow and JAX.

Importing it makes Keras' random draws the same on the three frameworks.
"""

import multilearn as _multilearn  # isort: skip  (chooses the framework before Keras is loaded)

from multilearn_keras import random as _random
from multilearn_keras.array_ops import KerasOps
from multilearn_keras.backend import KerasBackend
from multilearn_keras.tasks import Classification, Regression

__all__ = ["Classification", "KerasBackend", "KerasOps", "Regression"]

del _multilearn
_random.install()
