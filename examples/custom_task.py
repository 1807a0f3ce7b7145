"""A task of one's own, in ten lines: an autoencoder with two losses, on scikit-learn's digits.

MULTILEARN_BACKEND=jax python examples/custom_task.py
"""

import argparse
from dataclasses import dataclass
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

EPOCHS = 20


@dataclass(frozen=True)
class AutoencoderOutput(ml.outputs.Output):
    """The two parts of the loss, each a number, for metrics to show."""

    restoring: Any
    sparsity: Any


class Autoencoder:
    """Images through a narrow code and back: they are to be restored, from a code that is mostly zero."""

    def __init__(self, encoder, decoder):
        self.encoder, self.decoder = encoder, decoder
        self.model = keras.Sequential([encoder, decoder])

    def step(self, images, training):
        """What one batch means. It is compiled, so it is pure, and written in `keras.ops`."""
        code = self.encoder(images, training=training)
        restored = self.decoder(code, training=training)
        restoring = ops.mean(ops.square(restored - images))
        sparsity = ops.mean(ops.abs(code))
        return AutoencoderOutput(restoring + 0.01 * sparsity, ops.shape(images)[0], restoring, sparsity)


def networks():
    encoder = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(16, activation="relu")])
    decoder = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(64, activation="sigmoid")])
    return encoder, decoder


def drawn(image):
    """An image of 8 x 8 pixels as text."""
    shades = " .:-=+*#%@"
    return ["".join(shades[min(int(pixel * 10), 9)] * 2 for pixel in row) for row in image.reshape(8, 8)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help=f"how many (default {EPOCHS}; quick: 2)")
    parser.add_argument("--directory", default="runs/custom-task-{backend}", help="where everything is written")
    parser.add_argument("--quick", action="store_true", help="a few epochs, to see that it runs")
    options = parser.parse_args()

    ml.set_seed(42)
    images = (load_digits().data / 16).astype("float32")
    images = images[np.random.default_rng(0).permutation(len(images))]
    # the networks are built on the first batch
    task = Autoencoder(*networks())
    learner = (
        ml.LearnerBuilder(options.directory, overwrite=True)
        .metrics(ml.metrics.Loss(), ml.metrics.Mean("restoring"), ml.metrics.Mean("sparsity"))
        .with_file_checkpointer()
        .num_epochs(options.epochs or (2 if options.quick else EPOCHS))
        .summary()
        .build(task, keras.optimizers.Adam(), 3e-3)
    )
    model = learner.fit(
        ml.DataLoader(images[:1472], batch_size=64, shuffle=True), ml.DataLoader(images[1472:], batch_size=325)
    )
    restored = ops.convert_to_numpy(model(images[-3:]))
    for before, after in zip(images[-3:], restored, strict=True):
        print("\n".join(f"{left}  ->  {right}" for left, right in zip(drawn(before), drawn(after), strict=True)))


if __name__ == "__main__":
    main()
