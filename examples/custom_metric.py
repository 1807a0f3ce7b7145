"""A metric of one's own, in ten lines: how much probability the right class gets, on scikit-learn's wines.

MULTILEARN_BACKEND=torch python examples/custom_metric.py
"""

import argparse
from dataclasses import dataclass

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_wine

from multilearn_keras import Classification

EPOCHS = 20


@dataclass(frozen=True)
class Confidence:
    """The mean probability of the right class. `floor` counts what is below it as nothing."""

    floor: float = 0.0

    unit = "share"  # a fraction in files and in Python, per cent on the screen
    numeric = True

    @property
    def name(self):
        """It carries the parameters, so that two variants live side by side, each with a file of its own."""
        return f"Confidence(floor={self.floor})" if self.floor else "Confidence"

    def measure(self, ops, output):
        """On the device, in the compiled step: the sums of one batch."""
        scores = output.scores(ops)  # (batch, classes)
        of_right = ops.multiply(scores, ops.one_hot(output.targets, scores.shape[-1]))
        counted = ops.where(ops.greater(of_right, self.floor), of_right, ops.multiply(of_right, 0.0))
        return {"total": ops.sum(counted), "count": ops.size(output.targets)}

    def merge(self, state, measured):
        """On the host: the sums of all batches so far, which also go into checkpoints."""
        before = state or {"total": 0.0, "count": 0}
        return {
            "total": before["total"] + float(measured["total"]),
            "count": before["count"] + int(measured["count"]),
        }

    def entry(self, state):
        """The value, exact over the epoch, and what it is a mean over."""
        return ml.metrics.Entry(state["total"] / state["count"], state["count"])


def data():
    x, y = load_wine(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    order = np.random.default_rng(0).permutation(len(x))
    train, valid = order[:128], order[128:]
    return (x[train], y[train].astype("int32")), (x[valid], y[valid].astype("int32"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help=f"how many (default {EPOCHS}; quick: 4)")
    parser.add_argument("--directory", default="runs/custom-metric-{backend}", help="where everything is written")
    parser.add_argument("--quick", action="store_true", help="a few epochs, to see that it runs")
    options = parser.parse_args()

    ml.set_seed(42)
    train, valid = data()
    model = keras.Sequential([keras.Input((13,)), layers.Dense(16, activation="relu"), layers.Dense(3)])
    learner = (
        ml.LearnerBuilder(options.directory, overwrite=True)
        .metrics(ml.metrics.Loss(), Confidence(), Confidence(floor=0.5))
        .with_file_checkpointer()
        # a metric of one's own decides which checkpoint is the best one, too
        .with_checkpointing_strategy(ml.checkpoint.KeepBest("Confidence", "valid", "highest"))
        .num_epochs(options.epochs or (4 if options.quick else EPOCHS))
        .summary()
        .build(Classification(model), keras.optimizers.Adam(), 1e-2)
    )
    learner.fit(ml.DataLoader(train, batch_size=32, shuffle=True), ml.DataLoader(valid, batch_size=50))


if __name__ == "__main__":
    main()
