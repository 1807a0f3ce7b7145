"""A siamese network: whether two pictures show the same digit, from how far apart they are in a space that is learned.

    MULTILEARN_BACKEND=jax python examples/ports/siamese.py

After "Image similarity estimation using a Siamese Network with a contrastive loss" of keras.io by Mehdi, on
scikit-learn's digits.
"""

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

MARGIN = 1.0


def pairs(x, y, random):
    """For each picture one of the same digit and one of another: two lists of pictures, and 1 where digits differ."""
    by_digit = [np.flatnonzero(y == digit) for digit in range(10)]
    same = [random.choice(by_digit[digit]) for digit in y]
    other = [random.choice(by_digit[(digit + random.integers(1, 10)) % 10]) for digit in y]
    differ = np.repeat([0.0, 1.0], len(y)).astype("float32")[:, None]
    return [np.concatenate([x, x]), x[np.concatenate([same, other])]], differ


def network():
    """The probability that two pictures show different digits. One tower, with the same weights, sees both."""
    tower = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(32, activation="tanh"),
            layers.Dense(10, activation="tanh"),
        ]
    )
    one, other = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    squares = ops.sum(ops.square(tower(one) - tower(other)), axis=1, keepdims=True)
    distance = ops.sqrt(ops.maximum(squares, keras.config.epsilon()))
    x = layers.BatchNormalization(momentum=0.9)(distance)
    return keras.Model([one, other], layers.Dense(1, activation="sigmoid")(x))


def contrastive(y_true, y_pred):
    """Pairs that differ are to be at least `MARGIN` apart, the others not at all."""
    return ops.mean((1 - y_true) * ops.square(y_pred) + y_true * ops.square(ops.maximum(MARGIN - y_pred, 0)), axis=-1)


ml.set_seed(42)
x, y = load_digits(return_X_y=True)
x, random = (x / 16).astype("float32").reshape(-1, 8, 8, 1), np.random.default_rng(0)
train, valid = pairs(x[:1400], y[:1400], random), pairs(x[1400:], y[1400:], random)

model = network()
model.compile(keras.optimizers.RMSprop(), contrastive, metrics=["binary_accuracy"])
learner = (
    ml.LearnerBuilder("runs/siamese-{backend}", overwrite=True)
    .num_epochs(15)
    .summary()
    .build(model, lr=ml.schedulers.Cosine(1e-2))
)
learner.fit(ml.DataLoader(train, batch_size=64, shuffle=True), ml.DataLoader(valid, batch_size=128))

digits = [x[1400:][np.flatnonzero(y[1400:] == digit)[:8]] for digit in (1, 3, 8)]
for name, one, other in (("1 and 1", 0, 0), ("1 and 3", 0, 1), ("3 and 8", 1, 2), ("8 and 8", 2, 2)):
    differ = model.predict_on_batch([digits[one], digits[other][::-1].copy()])
    print(f"{name}: the probability that they differ is {float(ops.mean(differ)):.2f}")
