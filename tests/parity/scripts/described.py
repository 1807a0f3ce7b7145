"""Describes a model as a run does; the last line says which frameworks were imported for it."""

import sys

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras

from multilearn import backend
from multilearn_keras import Classification

FRAMEWORKS = ("torch", "tensorflow", "jax")

assert ml.__name__
dense = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2())
model = keras.Sequential([dense, keras.layers.LSTM(2), keras.layers.Dropout(0.5), keras.layers.Dense(3)])
framework, optimizer = backend.load(), keras.optimizers.Adam()
before = {name for name in FRAMEWORKS if name in sys.modules}
framework.adopt(Classification(model), optimizer, 0.1)
framework.numerics()
print({name for name in FRAMEWORKS if name in sys.modules} - before)
