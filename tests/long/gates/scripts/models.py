"""What the gates are held against: models on scikit-learn's digits, each with its task and the batches it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

from multilearn_keras import Classification

TRAIN, CLASSES = 1280, 10
Arrays = tuple[np.ndarray[Any, Any], ...]
Shaped = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Subject:
    """A model, as it is made on every framework, and the form in which it takes the images (items, 8, 8)."""

    make: Callable[[], keras.Model]
    shaped: Shaped
    task: Callable[[keras.Model], Any] = Classification
    policy: str = "float32"
    batch: int = 32
    classifies: bool = True


def images(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return pixels[..., None]


def rows(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return pixels


def flat(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return pixels.reshape(len(pixels), 64)


def column(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return pixels.reshape(len(pixels), 64, 1)


def tokens(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The 16 pixels of every second row and column as 0 (padding: nothing is there) to 16."""
    return np.rint(pixels[:, ::2, ::2] * 16).astype("int32").reshape(len(pixels), 16)


def coloured(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """32 x 32 pixels of three equal colours."""
    return np.repeat(np.kron(pixels, np.ones((1, 4, 4), "float32"))[..., None], 3, axis=-1)


def sequential(shape: tuple[int, ...], *inner: layers.Layer, dtype: str | None = None) -> keras.Model:
    """The layers between an input and logits, which are in full precision also where the layers are not."""
    full = keras.config.dtype_policy().variable_dtype
    return keras.Sequential([keras.Input(shape, dtype=dtype or full), *inner, layers.Dense(CLASSES, dtype=full)])


def perceptron() -> keras.Model:
    hidden = [layer for _ in range(2) for layer in (layers.Dense(64, activation="relu"), layers.Dropout(0.3))]
    return sequential((64,), *hidden)


def convolutions() -> keras.Model:
    return sequential(
        (8, 8, 1),
        *(layers.Conv2D(8, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()),
        *(layers.MaxPooling2D(), layers.Conv2D(16, 3, padding="same", activation="relu"), layers.BatchNormalization()),
        *(layers.AveragePooling2D(2), layers.Flatten(), layers.Dropout(0.3)),
    )


def lstm() -> keras.Model:
    return sequential((8, 8), layers.LSTM(24, dropout=0.2, recurrent_dropout=0.2), layers.Dropout(0.2))


def plain_lstm() -> keras.Model:
    return sequential((8, 8), layers.LSTM(24))


def gru() -> keras.Model:
    return sequential((8, 8), layers.GRU(24, dropout=0.2, return_sequences=True), layers.GRU(16))


def bidirectional() -> keras.Model:
    return sequential((8, 8), layers.Bidirectional(layers.LSTM(16, dropout=0.1)), layers.Dropout(0.2))


def transformer() -> keras.Model:
    x = keras.Input((8, 8))
    y = layers.Dense(16)(x) + layers.Embedding(8, 16)(ops.arange(8))
    for _ in range(2):
        z = layers.LayerNormalization()(y)
        y = y + layers.MultiHeadAttention(2, 8, dropout=0.1)(z, z)
        z = layers.LayerNormalization()(y)
        z = layers.Dense(16)(layers.Dense(32, activation="gelu")(z))
        y = y + layers.Dropout(0.1)(z)
    return keras.Model(x, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(y))))


class Sampling(layers.Layer):
    """A draw from the normal distributions that the encoder names, and their distance from the standard one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, means: Any, variances: Any) -> Any:
        distance = -0.5 * (1 + variances - ops.square(means) - ops.exp(variances))
        self.add_loss(ops.mean(ops.sum(distance, axis=-1)))
        noise = keras.random.normal(ops.shape(means), seed=self.seed_generator)
        return means + ops.exp(0.5 * variances) * noise


def autoencoder() -> keras.Model:
    x = keras.Input((64,))
    hidden = layers.Dense(32, activation="relu")(x)
    code = Sampling()(layers.Dense(4)(hidden), layers.Dense(4)(hidden))
    return keras.Model(x, layers.Dense(64)(layers.Dense(32, activation="relu")(code)))


class Restoring:
    """Images are to be restored from their codes, whose distance from the standard normal the model adds."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, batch: Any, training: bool) -> ml.outputs.Output:
        pixels, _ = batch
        logits = self.model(pixels, training=training)
        each = keras.losses.binary_crossentropy(pixels, logits, from_logits=True)
        return ml.outputs.Output(64 * ops.mean(each) + sum(self.model.losses), ops.shape(pixels)[0])


def augmented() -> keras.Model:
    return sequential(
        (8, 8, 1),
        *(layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)),
        *(layers.RandomTranslation(0.1, 0.1), layers.RandomContrast(0.2), layers.RandomBrightness(0.1, (0.0, 1.0))),
        *(layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()),
    )


def conv_1d() -> keras.Model:
    return sequential(
        (64, 1),
        *(layers.Conv1D(8, 5, strides=2, padding="same", activation="relu"), layers.MaxPooling1D()),
        *(layers.SeparableConv1D(16, 3, padding="same", activation="elu"), layers.SpatialDropout1D(0.1)),
        layers.GlobalMaxPooling1D(),
    )


def masked() -> keras.Model:
    return sequential((16,), layers.Embedding(17, 12, mask_zero=True), layers.GRU(24), dtype="int32")


def residual(activation: str = "relu") -> keras.Model:
    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    for filters, strides in ((8, 1), (16, 2), (16, 1)):
        z = layers.Activation(activation)(layers.BatchNormalization()(y))
        shortcut = y if strides == 1 else layers.Conv2D(filters, 1, strides=strides, use_bias=False)(z)
        z = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(z)
        z = layers.Activation(activation)(layers.BatchNormalization()(z))
        y = shortcut + layers.Conv2D(filters, 3, padding="same", use_bias=False)(z)
    y = layers.GlobalAveragePooling2D()(layers.Activation(activation)(layers.BatchNormalization()(y)))
    return keras.Model(x, layers.Dense(CLASSES)(y))


def noisy() -> keras.Model:
    return sequential(
        (64,),
        *(layers.GaussianNoise(0.1), layers.Dense(64, activation="selu", kernel_initializer="lecun_normal")),
        *(layers.AlphaDropout(0.1), layers.Dense(64, activation="silu", kernel_regularizer="l2")),
        *(layers.GaussianDropout(0.1), layers.GroupNormalization(8)),
    )


def application(name: str) -> keras.Model:
    return getattr(keras.applications, name)(
        weights=None, input_shape=(32, 32, 3), classes=CLASSES, classifier_activation=None
    )


SUBJECTS = {
    "perceptron": Subject(perceptron, flat),
    "convolutions": Subject(convolutions, images),
    "lstm": Subject(lstm, rows),
    "plain_lstm": Subject(plain_lstm, rows),
    "gru": Subject(gru, rows),
    "bidirectional": Subject(bidirectional, rows),
    "transformer": Subject(transformer, rows),
    "autoencoder": Subject(autoencoder, flat, Restoring, classifies=False),
    "augmented": Subject(augmented, images),
    "conv_1d": Subject(conv_1d, column),
    "masked": Subject(masked, tokens),
    "residual": Subject(residual, images),
    "residual_smooth": Subject(lambda: residual("silu"), images),
    "noisy": Subject(noisy, flat),
    "mobile_net_v2": Subject(lambda: application("MobileNetV2"), coloured, batch=8),
    "efficient_net_b0": Subject(lambda: application("EfficientNetB0"), coloured, batch=8),
    "bfloat16_perceptron": Subject(perceptron, flat, policy="mixed_bfloat16"),
    "bfloat16_convolutions": Subject(convolutions, images, policy="mixed_bfloat16"),
    "float16_convolutions": Subject(convolutions, images, policy="mixed_float16"),
}


def arrays() -> tuple[Arrays, Arrays]:
    """Images from 0 to 1, (items, 8, 8), and labels: what is trained on, and what is validated on."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    pixels, labels = (digits.images[order] / 16).astype("float32"), digits.target[order].astype("int32")
    return (pixels[:TRAIN], labels[:TRAIN]), (pixels[TRAIN:], labels[TRAIN:])
