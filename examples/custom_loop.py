"""A loop of one's own: two networks in a game (a GAN), each with its engine, from the parts that `fit` is made of.

MULTILEARN_BACKEND=tensorflow python examples/custom_loop.py

The generator learns to draw points on a ring, the discriminator to tell them from real ones. Each is trained by an
engine: a compiled step on whichever framework. Engines, schedules, metrics, loaders and checkpoints are the public
parts; the loop below is all that is added, and it can be resumed where it was stopped. A Learner plays this game too,
with screens, metric files and resumes inside of an epoch: examples/gan.py. This is for loops that no Learner has.
"""

import argparse
from functools import reduce
from pathlib import Path

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops

EPOCHS = 20
SEED = 42
NOISE = 4
LOSS = ml.metrics.Loss()


def network(inputs, outputs):
    hidden = [layers.Dense(32, activation="leaky_relu") for _ in range(2)]
    return keras.Sequential([keras.Input((inputs,)), *hidden, layers.Dense(outputs)])


def cross_entropy(logits, target):
    return ops.mean(ops.binary_crossentropy(ops.full_like(logits, target), logits, from_logits=True))


class Discriminating:
    """Trains `model`, the discriminator: real points are to be told from those of the generator."""

    def __init__(self, discriminator, generator):
        self.model, self.generator = discriminator, generator

    def step(self, batch, training):
        drawn = ops.stop_gradient(self.generator(batch["noise"]))
        real, fake = self.model(batch["real"], training=training), self.model(drawn, training=training)
        return ml.outputs.Output(cross_entropy(real, 1.0) + cross_entropy(fake, 0.0), ops.shape(real)[0])


class Generating:
    """Trains `model`, the generator: the discriminator, which is held fixed, is to take its points for real ones."""

    def __init__(self, generator, discriminator):
        self.model, self.discriminator = generator, discriminator

    def step(self, batch, training):
        taken = self.discriminator(self.model(batch["noise"], training=training))
        return ml.outputs.Output(cross_entropy(taken, 1.0), ops.shape(taken)[0])


class Player:
    """One side of the game: an engine, its schedule, and the folder of its checkpoints."""

    def __init__(self, task, example, updates, folder):
        backend = ml.backend.load()
        schedule = ml.schedulers.Cosine(2e-3, updates=updates)
        subject = backend.adopt(task, keras.optimizers.Adam(beta_1=0.5), schedule)
        # shared: each engine sees what the other one has made of the networks
        options = ml.protocols.EngineOptions(train_metrics=(LOSS,), shared=True)
        self.engine = backend.engine(subject, [ml.protocols.Example(example)], options)
        self.schedule = subject.scheduler
        self.folder = ml.checkpoint.CheckpointFolder(folder)
        self.update, self.outputs = 0, []

    def play(self, batch):
        """One update. What it returns stays on the device until it is asked for."""
        rate = self.schedule.learning_rate(self.update)
        self.outputs.append(self.engine.train_step(batch, rate, update=True))
        self.update += 1

    def loss(self):
        """The mean loss since it was last asked for."""
        measured = [host.measures[LOSS.name] for host in self.engine.fetch(self.outputs)]
        self.outputs = []
        return LOSS.entry(reduce(LOSS.merge, measured, None)).value

    def save(self, epoch):
        """Everything that `resume` needs; the checkpoints of the last two epochs are kept."""
        record = self.engine.record()
        progress = {"update": self.update, "random": record["random"], "scheduler": self.schedule.state()}
        parts = {"model": record["model"], "optim": record["optim"], "scheduler": progress}
        older = [position for position in self.folder.positions() if position.epoch < epoch - 1]
        self.folder.save(ml.Position(epoch), parts, drop=older)

    def resume(self, epoch):
        parts = self.folder.load(ml.Position(epoch))
        progress = parts["scheduler"]
        self.engine.restore({"model": parts["model"], "optim": parts["optim"], "random": progress["random"]})
        self.schedule.restore(progress["scheduler"])
        self.update = progress["update"]


def ring(points):
    """Points (points, 2) around a circle of radius 1."""
    random = np.random.default_rng(0)
    angles = random.uniform(0, 2 * np.pi, points)
    radii = random.normal(1, 0.03, points)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype("float32")


def noise(items, *key):
    """Of a key always the same numbers, on every framework and after every resume."""
    return np.random.default_rng((SEED, *key)).standard_normal((items, NOISE)).astype("float32")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help=f"how many in total (default {EPOCHS}; quick: 4)")
    parser.add_argument("--directory", default="runs/custom-loop-{backend}", help="where everything is written")
    parser.add_argument("--resume", action="store_true", help="resume after the last epoch that both have saved")
    parser.add_argument("--quick", action="store_true", help="a few points and epochs, to see that it runs")
    options = parser.parse_args()
    epochs = options.epochs or (4 if options.quick else EPOCHS)
    directory = Path(options.directory.replace("{backend}", ml.backend.chosen()))

    ml.set_seed(SEED)
    real = ml.DataLoader({"real": ring(512 if options.quick else 4096)}, batch_size=64, shuffle=True)
    generator, discriminator = network(NOISE, 2), network(2, 1)
    example = {"real": ring(64), "noise": noise(64)}
    updates = (4 if options.quick else EPOCHS) * len(real)
    players = (
        Player(Discriminating(discriminator, generator), example, updates, directory / "discriminator"),
        Player(Generating(generator, discriminator), example, updates, directory / "generator"),
    )
    done = 0
    if options.resume:
        done = max(set.intersection(*({at.epoch for at in player.folder.positions()} for player in players)))
        for player in players:
            player.resume(done)
    for epoch in range(done + 1, epochs + 1):
        for number, batch in enumerate(real.iterate(SEED, epoch)):
            batch["noise"] = noise(len(batch["real"]), epoch, number)
            for player in players:
                player.play(batch)
        losses = [player.loss() for player in players]
        for player in players:
            player.save(epoch)
        print(f"epoch {epoch}/{epochs}  discriminator {losses[0]:.4f}  generator {losses[1]:.4f}")
    for player in players:
        player.engine.release()
    drawn = ops.convert_to_numpy(generator(noise(1000)))
    distance = np.abs(np.linalg.norm(drawn, axis=1) - 1).mean()
    print(f"drawn points are {distance:.3f} from the ring on average")


if __name__ == "__main__":
    main()
