"""How far a disease goes within a year, from ten measurements: scikit-learn's 442 patients with diabetes.

MULTILEARN_BACKEND=tensorflow python examples/tabular_regression.py
"""

import argparse

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_diabetes

from multilearn_keras import Regression

EPOCHS = 40


def data():
    """Measurements (patients, 10) and progress (patients, 1), train and validation, standardized by the former."""
    x, y = load_diabetes(return_X_y=True)
    x, y = x.astype("float32"), y.astype("float32")[:, None]
    order = np.random.default_rng(0).permutation(len(x))
    train, valid = order[:354], order[354:]
    x, y = ((a - a[train].mean(axis=0)) / a[train].std(axis=0) for a in (x, y))
    return (x[train], y[train]), (x[valid], y[valid])


def network():
    return keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3)),
            layers.Dropout(0.2),
            layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3)),
            layers.Dense(1),
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help=f"how many (default {EPOCHS}; quick: 5)")
    parser.add_argument("--directory", default="runs/tabular-regression-{backend}", help="where everything is written")
    parser.add_argument("--quick", action="store_true", help="a few epochs, to see that it runs")
    options = parser.parse_args()

    ml.set_seed(42)
    train, valid = data()
    learner = (
        ml.LearnerBuilder(options.directory, overwrite=True)
        .metrics(ml.metrics.Loss(), ml.metrics.RootMeanSquaredError(), ml.metrics.R2())
        .with_file_checkpointer()
        .num_epochs(options.epochs or (5 if options.quick else EPOCHS))
        .summary()
        .build(Regression(network()), keras.optimizers.AdamW(), ml.schedulers.Cosine(5e-4))
    )
    learner.fit(ml.DataLoader(train, batch_size=32, shuffle=True), ml.DataLoader(valid, batch_size=88))


if __name__ == "__main__":
    main()
