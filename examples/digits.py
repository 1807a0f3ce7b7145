"""Handwritten digits on whichever framework: the same experiment, the same curve.

MULTILEARN_BACKEND=torch python examples/digits.py
multilearn run examples/digits.py --backend torch --backend tensorflow
"""

import argparse

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

from multilearn_keras import Classification

EPOCHS = 10
BATCH = 64


def data(quick: bool):
    """Scikit-learn's 1,797 images of 8 x 8 pixels, split into train and validation."""
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    labels = digits.target.astype("int32")
    order = np.random.default_rng(0).permutation(len(images))
    train, valid = order[:1472], order[1472:]
    if quick:
        train, valid = train[:256], valid[:64]
    return (images[train], labels[train]), (images[valid], labels[valid])


def network():
    """A small convolutional network that outputs logits, (batch, 10)."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=None, help=f"how many in total (default {EPOCHS}; quick: 2)")
    parser.add_argument("--directory", default="runs/digits-{backend}", help="where everything is written")
    parser.add_argument("--checkpoint", metavar="K|latest", help="resume from this epoch, or the latest checkpoint")
    parser.add_argument("--from", dest="source", metavar="D", help="resume from another run's directory")
    parser.add_argument("--quick", action="store_true", help="a few images and epochs, to see that it runs")
    options = parser.parse_args()
    epochs = options.epochs if options.epochs is not None else 2 if options.quick else EPOCHS

    ml.set_seed(42)
    train_data, valid_data = data(options.quick)
    train = ml.DataLoader(train_data, batch_size=BATCH, shuffle=True)
    valid = ml.DataLoader(valid_data, batch_size=256)

    builder = (
        # run again without --checkpoint, it starts over
        ml.LearnerBuilder(options.directory, overwrite=options.checkpoint is None or options.source is not None)
        .metric_train_numeric(ml.metrics.Accuracy())
        .metric_valid_numeric(ml.metrics.Accuracy())
        .metric_train_numeric(ml.metrics.Loss())
        .metric_valid_numeric(ml.metrics.Loss())
        .with_file_checkpointer()
        .num_epochs(epochs)
        .summary()
    )
    if options.checkpoint or options.source:
        builder = builder.checkpoint(options.checkpoint or "latest", directory=options.source)

    # the schedule always spans the ten epochs, so that four of them are the beginning of ten
    schedule = ml.schedulers.Cosine(1e-3, updates=EPOCHS * len(train))
    learner = builder.build(Classification(network()), keras.optimizers.Adam(), schedule)
    learner.fit(train, valid)


if __name__ == "__main__":
    main()
