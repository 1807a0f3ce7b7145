"""A Wasserstein GAN with gradient penalty: digits that were never written, by two networks with an optimizer each.

    MULTILEARN_BACKEND=torch python examples/ports/wgan_gp.py

After "WGAN-GP overriding `Model.train_step`" of keras.io by A_K_Nain, on scikit-learn's digits: what its `train_step`
does are two turns of a task here, each a loss, what it trains, and an optimizer.
"""

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

from multilearn_keras import Turn, gradient

NOISE, PENALTY = 16, 10.0


class Wgan:
    """The critic says how real a picture looks, the generator draws pictures from noise."""

    def __init__(self):
        self.critic = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                # not leaky_relu: its slope, which is penalised, jumps, and roundings of frameworks with it
                layers.Conv2D(32, 3, strides=2, padding="same", activation="silu"),
                layers.Conv2D(64, 3, strides=2, padding="same", activation="silu"),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
        self.model = self.generator = keras.Sequential(
            [
                keras.Input((NOISE,)),
                layers.Dense(4 * 4 * 32, activation="relu"),
                layers.Reshape((4, 4, 32)),
                layers.UpSampling2D(),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
            ]
        )
        self.seeds = keras.random.SeedGenerator()
        # on each batch the critic is trained three times, and then the generator once
        self.turns = {
            "critic": Turn(self.critic, self.criticise, times=3),
            "generator": Turn(self.generator, self.draw),
        }

    def drawn(self, real, training):
        noise = keras.random.normal((ops.shape(real)[0], NOISE), seed=self.seeds)
        return self.generator(noise, training=training)

    def criticise(self, real, training):
        """The distance between what is real and what is not, as far as the critic's slope is 1."""
        fake = self.drawn(real, training)
        share = keras.random.uniform((ops.shape(real)[0], 1, 1, 1), seed=self.seeds)
        slopes = gradient(lambda x: self.critic(x, training=training), real + share * (fake - real))
        norms = ops.sqrt(ops.sum(ops.square(slopes), axis=(1, 2, 3)) + 1e-12)
        distance = ops.mean(self.critic(fake, training=training)) - ops.mean(self.critic(real, training=training))
        return ml.outputs.Output(distance + PENALTY * ops.mean(ops.square(norms - 1.0)), ops.shape(real)[0])

    def draw(self, real, training):
        return ml.outputs.Output(-ops.mean(self.critic(self.drawn(real, training))), ops.shape(real)[0])


ml.set_seed(42)
images = (load_digits().images / 16).astype("float32")[..., None]
wgan = Wgan()
learner = (
    ml.LearnerBuilder("runs/wgan-gp-{backend}", overwrite=True)
    .num_epochs(40)
    .summary()
    .build(wgan, {turn: keras.optimizers.Adam(beta_1=0.5, beta_2=0.9) for turn in wgan.turns}, 1e-3)
)
learner.fit(ml.DataLoader(images, batch_size=64, shuffle=True))

noise = np.random.default_rng(0).normal(size=(10, NOISE)).astype("float32")
pictures = (wgan.generator.predict_on_batch(noise) * 9.99).reshape(2, 5, 8, 8).astype(int)
for band in pictures:  # 5 pictures side by side, one line of pixels at a time
    for line in range(8):
        print("  ".join("".join(" .:-=+*#%@"[shade] for shade in picture[line]) for picture in band))
