"""A variational autoencoder: scikit-learn's digits as points in a plane, and pictures of points that never were data.

    MULTILEARN_BACKEND=torch python examples/ports/vae.py

After "Variational AutoEncoder" of keras.io by François Chollet: its `train_step` is the `step` of a task here.
"""

from dataclasses import dataclass

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits


@dataclass(frozen=True)
class VaeOutput(ml.outputs.Output):
    """The two parts of the loss, for the metric `Mean`."""

    reconstruction: object
    divergence: object


class Vae:
    """Images to a normal distribution in the plane, and a point drawn from it back to an image."""

    def __init__(self):
        self.encoder = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(16, 3, activation="relu", strides=2, padding="same"),
                layers.Conv2D(32, 3, activation="relu", padding="same"),
                layers.Flatten(),
                layers.Dense(32, activation="relu"),
                layers.Dense(2 + 2),
            ]
        )
        self.decoder = keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(4 * 4 * 32, activation="relu"),
                layers.Reshape((4, 4, 32)),
                layers.Conv2DTranspose(16, 3, activation="relu", strides=2, padding="same"),
                layers.Conv2DTranspose(1, 3, padding="same"),
            ]
        )
        images = keras.Input((8, 8, 1))
        self.model = keras.Model(images, self.decoder(self.encoder(images)[:, :2]))  # what is trained
        self.seeds = keras.random.SeedGenerator()

    def step(self, images, training):
        mean, log_variance = ops.split(self.encoder(images, training=training), 2, axis=-1)
        point = mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.seeds)
        logits = self.decoder(point, training=training)
        by_pixel = ops.binary_crossentropy(images, logits, from_logits=True)
        reconstruction = ops.mean(ops.sum(by_pixel, axis=(1, 2, 3)))
        divergence = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
        divergence = ops.mean(ops.sum(divergence, axis=1))
        return VaeOutput(reconstruction + divergence, ops.shape(images)[0], reconstruction, divergence)


ml.set_seed(42)
images = (load_digits().images / 16).astype("float32")[..., None]
vae = Vae()
learner = (
    ml.LearnerBuilder("runs/vae-{backend}", overwrite=True)
    .metrics(ml.metrics.Mean("reconstruction"), ml.metrics.Mean("divergence"))
    .num_epochs(40)
    .summary()
    .build(vae, keras.optimizers.Adam(), 3e-3)
)
learner.fit(ml.DataLoader(images[:1500], batch_size=64, shuffle=True), ml.DataLoader(images[1500:], batch_size=99))

places = np.linspace(-1.5, 1.5, 5, dtype="float32")
drawn = vae.decoder.predict_on_batch(np.array([(x, y) for y in places for x in places], "float32"))
shades = (ops.convert_to_numpy(ops.sigmoid(drawn)).reshape(5, 5, 8, 8) * 9.99).astype(int)
for band in shades:  # 5 digits side by side, one line of pixels at a time
    for line in range(8):
        print("  ".join("".join(" .:-=+*#%@"[shade] for shade in digit[line]) for digit in band))
