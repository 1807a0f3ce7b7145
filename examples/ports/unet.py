"""A U-Net: which pixels of a noisy picture belong to a disc, and which to a square.

    MULTILEARN_BACKEND=jax python examples/ports/unet.py

After "Image segmentation with a U-Net-like architecture" of keras.io by François Chollet, on pictures that are drawn
here.
"""

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers

from multilearn_keras import Classification

SIZE, CLASSES = 32, 3  # nothing, disc, square


def pictures(count, seed):
    """Grey pictures (count, SIZE, SIZE, 1), and the class of each pixel (count, SIZE, SIZE)."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:SIZE, :SIZE]
    masks = np.zeros((count, SIZE, SIZE), "int32")
    for mask in masks:
        for kind in random.permutation([1, 2]):
            y, x, half = *random.integers(7, SIZE - 7, 2), random.integers(4, 8)
            away = np.abs(row - y), np.abs(column - x)
            inside = away[0] ** 2 + away[1] ** 2 <= half**2 if kind == 1 else np.maximum(*away) <= half - 1
            mask[inside] = kind
    brightness = random.uniform(0.5, 1.0, (count, 1, 1)) * (masks > 0)
    return (brightness + random.normal(0, 0.2, masks.shape)).astype("float32")[..., None], masks


def convolved(x, filters):
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return x


def network(widths=(8, 16), deepest=32):
    pixels = keras.Input((SIZE, SIZE, 1))
    x, skipped = pixels, []
    for width in widths:  # down: each time half as many pixels
        x = convolved(x, width)
        skipped.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolved(x, deepest)
    for width, across in zip(reversed(widths), reversed(skipped), strict=True):  # and up, with what was seen on the way
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)
        x = convolved(layers.Concatenate()([x, across]), width)
    return keras.Model(pixels, layers.Conv2D(CLASSES, 1)(x))


ml.set_seed(42)
train, valid = pictures(512, seed=1), pictures(128, seed=2)
model = network()
learner = (
    ml.LearnerBuilder("runs/unet-{backend}", overwrite=True)
    .metrics(ml.metrics.Accuracy(), ml.metrics.MeanIoU())
    .num_epochs(8)
    .summary()
    .build(Classification(model), keras.optimizers.Adam(), ml.schedulers.Cosine(1e-2))
)
learner.fit(ml.DataLoader(train, batch_size=32, shuffle=True), ml.DataLoader(valid, batch_size=64))

found = model.predict_on_batch(valid[0][:1])[0].argmax(axis=-1)
for truth, row in zip(valid[1][0], found, strict=True):  # what is there, and what was found
    print("".join(".o#"[pixel] for pixel in truth), "".join(".o#"[pixel] for pixel in row))
