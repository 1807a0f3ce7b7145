"""The architectures of `keras.applications` train as Keras' own `fit` trains them: `nox -s zoo`.

Deep networks amplify rounding: on batches of two the last batch normalisations divide by the spread of a few numbers,
and what differs in the seventh digit there differs in the third a few large updates later. So the rate is small, and
what is compared is the loss and its gradient, not how chaotic the network is. That the gradients are right is seen in
the updates themselves: what all weights have moved by together, relative to its own length.
"""

from __future__ import annotations

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest

from multilearn.metrics import Loss
from multilearn.protocols import EngineOptions, Example
from multilearn_keras import Classification

# The smallest images that each one takes, and 32 at least. Where batch normalisations are left with two numbers at a
# time, Keras' variance on torch, a difference of two means, can become negative and the loss of its own fit NaN:
# ResNet50, ResNet101, DenseNet169 and EfficientNetV2B0 get larger images. NASNet is not to be had on torch.
SIZES = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "DenseNet169": 64,
    "EfficientNetB0": 32,
    "EfficientNetB1": 32,
    "EfficientNetB2": 32,
    "EfficientNetV2B0": 64,
    "EfficientNetV2B1": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Large": 32,
    "MobileNetV3Small": 32,
    "ResNet101": 64,
    "ResNet101V2": 32,
    "ResNet50": 64,
    "ResNet50V2": 32,
    "VGG16": 32,
    "VGG19": 32,
    "Xception": 71,
}
# Keras compiled and Keras run eagerly are 3 % apart here after five updates on TensorFlow: both are run eagerly.
CHAOTIC = ("MobileNetV3Large", "MobileNetV3Small")
CLASSES, BATCH, UPDATES = 5, 2, 5
RATE = 1e-4
TOLERANCE = 1e-5
ASTRAY = 1e-2


class Running(keras.callbacks.Callback):
    """The mean loss of the epoch, after each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.losses.append(float((logs or {})["loss"]))


def made(name: str) -> keras.Model:
    """The same weights and the same random streams at every call."""
    keras.backend.clear_session()
    ml.set_seed(1)
    size = SIZES[name]
    return getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=CLASSES, classifier_activation=None
    )


def trained(model: keras.Model) -> np.ndarray:
    """All that the model trains, in one row."""
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(v.value)) for v in model.trainable_variables])


@pytest.mark.parametrize("name", SIZES)
def test_five_updates_equal_those_of_keras(name: str) -> None:
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (BATCH * UPDATES, SIZES[name], SIZES[name], 3)).astype("float32")
    y = random.integers(0, CLASSES, BATCH * UPDATES).astype("int32")
    theirs, running = made(name), Running()
    before = trained(theirs)
    jit = keras.backend.backend() == "jax"
    eager = name in CHAOTIC and not jit
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs.compile(keras.optimizers.SGD(RATE), loss, jit_compile=jit, run_eagerly=eager)
    theirs.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[running])
    moved = trained(theirs) - before

    ours = made(name)
    batches = [(x[at : at + BATCH], y[at : at + BATCH]) for at in range(0, len(x), BATCH)]
    backend = ml.backend.load()
    subject = backend.adopt(Classification(ours), keras.optimizers.SGD(), RATE)
    options = EngineOptions(train_metrics=(Loss(),), capture=not eager)
    engine = backend.engine(subject, [Example(batches[0])], options)
    hosts = engine.fetch([engine.train_step(batch, RATE, True) for batch in batches])
    engine.release()
    losses = np.array([float(host.measures["Loss"]["loss"]) for host in hosts])
    found = np.cumsum(losses) / np.arange(1, UPDATES + 1)
    difference = float(np.max(np.abs(found / running.losses - 1)))
    astray = float(np.linalg.norm(trained(ours) - before - moved) / np.linalg.norm(moved))
    print(f"{name}: mean loss {found[-1]:.6f}, relative difference {difference:.1e}; of the updates {astray:.1e}")
    assert difference < TOLERANCE
    assert astray < ASTRAY
