"""A WGAN-GP with batch statistics and dropout, and all its draws: `game.py DIRECTORY EPOCHS [SOURCE]`."""

import sys

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops

from multilearn.outputs import Output
from multilearn_keras import Turn, gradient

directory, epochs, *source = sys.argv[1:]


class Game:
    def __init__(self):
        normed = layers.BatchNormalization()
        self.model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(8), normed, layers.Activation("silu"), layers.Dense(2)]
        )
        hidden = layers.Dense(8, activation="silu")
        self.critic = keras.Sequential([keras.Input((2,)), hidden, layers.Dropout(0.2), layers.Dense(1)])
        self.seeds = keras.random.SeedGenerator()
        self.turns = {
            "critic": Turn(self.critic, self.criticise, times=2),
            "generator": Turn(self.model, self.generate, every=3),
        }

    def drawn(self, real, training):
        return self.model(keras.random.normal((ops.shape(real)[0], 3), seed=self.seeds), training=training)

    def criticise(self, real, training):
        fake = self.drawn(real, training)
        mixed = real + keras.random.uniform((ops.shape(real)[0], 1), seed=self.seeds) * (fake - real)
        slopes = gradient(lambda x: self.critic(x, training=training), mixed)
        penalty = ops.mean(ops.square(ops.sqrt(ops.sum(ops.square(slopes), axis=1)) - 1))
        scores = ops.mean(self.critic(fake, training=training)) - ops.mean(self.critic(real, training=training))
        return Output(scores + 10 * penalty, ops.shape(real)[0])

    def generate(self, real, training):
        return Output(-ops.mean(self.critic(self.drawn(real, training), training=training)), ops.shape(real)[0])


ml.set_seed(42)
angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 160)
points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")
builder = ml.LearnerBuilder(directory).num_epochs(int(epochs)).with_file_checkpointer()
builder = builder.with_checkpointing_strategy(ml.checkpoint.KeepEvery(1))
if source:
    builder = builder.checkpoint(1, source[0])
rates = {"critic": ml.schedulers.Cosine(2e-3, updates=60), "generator": 1e-3}
builder.build(Game(), "adam", rates).fit(ml.DataLoader(points, batch_size=16, shuffle=True))
