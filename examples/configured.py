"""What a run is to do, in a file: metrics, checkpoints and early stopping from configured.toml beside this script.

MULTILEARN_BACKEND=jax python examples/configured.py

A typo in the file is refused with the nearest known name. The same table is in the run's experiment.json, from which
`LearnerBuilder.from_experiment` makes the builder again.
"""

import argparse
from pathlib import Path

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_wine

from multilearn_keras import Classification


def data():
    x, y = load_wine(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    order = np.random.default_rng(0).permutation(len(x))
    train, valid = order[:128], order[128:]
    return (x[train], y[train].astype("int32")), (x[valid], y[valid].astype("int32"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_suffix(".toml"), help="the TOML file")
    parser.add_argument("--epochs", type=int, help="how many, instead of what the file says (quick: 4)")
    parser.add_argument("--directory", help="where everything is written, instead of where the file says")
    parser.add_argument("--quick", action="store_true", help="a few epochs, to see that it runs")
    options = parser.parse_args()

    ml.set_seed(42)
    builder = ml.LearnerBuilder.from_toml(options.config, options.directory)
    if options.epochs or options.quick:
        builder = builder.num_epochs(options.epochs or 4)
    model = keras.Sequential([keras.Input((13,)), layers.Dense(16, activation="relu"), layers.Dense(3)])
    learner = builder.build(Classification(model), keras.optimizers.Adam(), 1e-2)
    train, valid = data()
    learner.fit(ml.DataLoader(train, batch_size=32, shuffle=True), ml.DataLoader(valid, batch_size=50))


if __name__ == "__main__":
    main()
