"""A training of three epochs, the second of which waits at every batch: DIRECTORY EPOCHS [resume]."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers

from multilearn_keras import Classification


class Slow:
    def __init__(self, loader: ml.DataLoader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for batch in self.loader.iterate(seed, epoch, start):
            time.sleep(0.3 if epoch == 2 else 0.0)
            yield batch


def train(directory: str, epochs: int = 3, rate: float = 0.01, resume: bool = False) -> list[float]:
    """The validation losses."""
    ml.set_seed(1)
    hidden = [layers.Dense(8, use_bias=False), layers.BatchNormalization(), layers.Activation("silu")]
    model = keras.Sequential([keras.Input((4,)), *hidden, layers.Dropout(0.3), layers.Dense(2)])
    builder = ml.LearnerBuilder(directory).metrics(ml.metrics.Loss(), ml.metrics.Accuracy()).num_epochs(epochs)
    builder = builder.with_file_checkpointer()
    rng = np.random.default_rng(0)
    data = rng.normal(size=(150, 4)).astype("float32"), rng.integers(0, 2, 150)
    learner = (builder.checkpoint("latest") if resume else builder).build(Classification(model), "adam", rate)
    learner.fit(Slow(ml.DataLoader(data, 16, shuffle=True)), [(data[0][:30], data[1][:30])])
    return list(learner.history["valid"]["Loss"])


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(int(sys.argv[1]))
    print("trained", train(sys.argv[1], int(sys.argv[2]), resume="resume" in sys.argv))
