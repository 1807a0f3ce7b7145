"""Two optimizers that take turns: a WGAN-GP learns to draw points on a ring.

MULTILEARN_BACKEND=jax python examples/gan.py

The critic is updated several times on each batch, and the slope of its scores is kept near 1 by a penalty that is made
of a gradient. Stop it with Ctrl+C, also inside an epoch: started again with --resume, it is the same run.
"""

import argparse

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops

from multilearn_keras import Turn, gradient

EPOCHS, NOISE = 20, 4
PENALTY = 0.1  # 10 for images; less makes toys learn faster, as in the code of the paper (arxiv.org/abs/1704.00028)


def network(inputs, outputs):
    hidden = [layers.Dense(32, activation="silu") for _ in range(2)]
    return keras.Sequential([keras.Input((inputs,)), *hidden, layers.Dense(outputs)])


class Ring:
    """The game of a critic and a generator. What `fit` returns is `model`, the generator."""

    def __init__(self, times):
        self.model, self.critic = network(NOISE, 2), network(2, 1)
        self.seeds = keras.random.SeedGenerator()
        self.turns = {
            "critic": Turn(self.critic, self.criticise, times=times),
            "generator": Turn(self.model, self.generate),
        }

    def drawn(self, real):
        return self.model(keras.random.normal((ops.shape(real)[0], NOISE), seed=self.seeds))

    def criticise(self, real, training):
        drawn = self.drawn(real)
        mixed = real + keras.random.uniform((ops.shape(real)[0], 1), seed=self.seeds) * (drawn - real)
        slopes = gradient(self.critic, mixed)
        penalty = ops.mean(ops.square(ops.sqrt(ops.sum(ops.square(slopes), axis=1)) - 1))
        distance = ops.mean(self.critic(real)) - ops.mean(self.critic(drawn))
        return ml.outputs.Output(PENALTY * penalty - distance, ops.shape(real)[0])

    def generate(self, real, training):
        return ml.outputs.Output(-ops.mean(self.critic(self.drawn(real))), ops.shape(real)[0])


def ring(points):
    """Points (points, 2) around a circle of radius 1."""
    random = np.random.default_rng(0)
    angles, radii = random.uniform(0, 2 * np.pi, points), random.normal(1, 0.03, points)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype("float32")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help=f"how many in total (default {EPOCHS}; quick: 4)")
    parser.add_argument("--directory", default="runs/gan-{backend}", help="where everything is written")
    parser.add_argument("--resume", action="store_true", help="from where the last run was stopped")
    parser.add_argument("--quick", action="store_true", help="a few points and epochs, to see that it runs")
    options = parser.parse_args()

    ml.set_seed(42)
    task = Ring(times=2 if options.quick else 5)
    builder = (
        ml.LearnerBuilder(options.directory, overwrite=not options.resume)
        .num_epochs(options.epochs or (4 if options.quick else EPOCHS))
        .metrics(ml.metrics.OfOutput("critic", ml.metrics.GradientNorm()))
        .with_file_checkpointer()
        .with_checkpointing_strategy(ml.checkpoint.KeepLast(2))  # no loss of a GAN says which epoch is the best
    )
    if options.resume:
        builder = builder.checkpoint("latest")
    optimizers = {turn: keras.optimizers.Adam(2e-3, beta_1=0.5, beta_2=0.9) for turn in task.turns}
    learner = builder.build(task, optimizers)
    generator = learner.fit(ml.DataLoader(ring(256 if options.quick else 4096), batch_size=64, shuffle=True))

    noise = np.random.default_rng(1).standard_normal((1000, NOISE)).astype("float32")
    drawn = ops.convert_to_numpy(generator(noise))
    print(f"drawn points are {np.abs(np.linalg.norm(drawn, axis=1) - 1).mean():.3f} from the ring on average")


if __name__ == "__main__":
    main()
