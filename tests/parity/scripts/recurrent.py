"""Digits as sequences of rows, for an LSTM with both kinds of dropout: `recurrent.py DIRECTORY`."""

import sys

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
from keras import layers
from sklearn.datasets import load_digits

from multilearn_keras import Classification

digits = load_digits()
rows, labels = (digits.images / 16).astype("float32"), digits.target.astype("int32")

ml.set_seed(42)
model = keras.Sequential(
    [
        keras.Input((8, 8)),
        layers.LSTM(16, dropout=0.2, recurrent_dropout=0.2),
        layers.Dropout(0.2),
        layers.Dense(10, kernel_initializer="he_normal"),
    ]
)
learner = (
    ml.LearnerBuilder(sys.argv[1])
    .metrics(ml.metrics.Loss(), ml.metrics.Accuracy())
    .with_file_checkpointer()
    .num_epochs(2)
    .build(Classification(model), keras.optimizers.Adam(), ml.schedulers.Cosine(3e-3))
)
train = ml.DataLoader((rows[:1000], labels[:1000]), batch_size=50, shuffle=True)
learner.fit(train, ml.DataLoader((rows[1000:1300], labels[1000:1300]), batch_size=128))
