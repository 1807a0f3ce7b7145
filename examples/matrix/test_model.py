"""A model of one's own, held to the promise: the same experiment on every framework.

    pytest test_model.py

Each framework that is installed trains the model in a process of its own. With one framework per environment, as
`noxfile.py` beside this file has them, the runs meet in one folder.
"""

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np

from multilearn_keras import Classification

EPOCHS = 2


def train(builder: ml.LearnerBuilder) -> None:
    """Everything is made in here, in a fresh process that has been given its seed; the builder knows its directory."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3),
        ]
    )
    learner = (
        builder.metrics(ml.metrics.Loss(), ml.metrics.Accuracy())
        .num_epochs(EPOCHS)
        .build(Classification(model), keras.optimizers.Adam(), ml.schedulers.Cosine(3e-3))
    )
    images, labels = samples(160)
    train = ml.DataLoader((images[:120], labels[:120]), batch_size=20, shuffle=True)
    learner.fit(train, ml.DataLoader((images[120:], labels[120:]), batch_size=40))


def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright squares in one of three rows: (count, 8, 8, 1) float32, (count,) int32."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count).astype("int32")
    images = rng.normal(0, 0.3, (count, 8, 8, 1)).astype("float32")
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 3, 2:6] += 1.0
    return images, labels


def test_every_framework_has_the_same_curve(identical):
    identical.curves(train)


def test_every_framework_takes_the_same_first_step(identical):
    identical.steps(train)


def test_a_run_that_is_stopped_goes_on_bit_for_bit(identical):
    identical.resumes(train)


def test_a_run_goes_on_on_another_framework(identical):
    identical.moves(train)
