"""What is trained: arrays, Keras models, and how many batches make an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["BATCHES", "MODELS", "Split", "Work"]

BATCHES = (16, 64, 256)

CLASSES = 10
TOKENS, VOCABULARY = 32, 256
WIDTH, HEADS = 64, 4
RESIDUAL = (16, 32, 64)


@dataclass(frozen=True)
class Split:
    """Arrays, cut into full batches in their order."""

    x: np.ndarray
    y: np.ndarray
    batch: int

    def __len__(self) -> int:
        return len(self.x) // self.batch

    def first(self, batches: int) -> Split:
        """The first so many of its batches."""
        items = batches * self.batch
        return Split(self.x[:items], self.y[:items], self.batch)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self.x), self.batch):
            yield self.x[start : start + self.batch], self.y[start : start + self.batch]


@dataclass(frozen=True)
class Work:
    """A model at a batch size: `steps` training batches an epoch, and `valid_steps` of validation."""

    model: str
    batch: int
    steps: int
    valid_steps: int
    epochs: int
    long: bool = False

    @classmethod
    def of(cls, model: str, batch: int, *, quick: bool = False, long: bool = False) -> Work:
        """As it is measured by default; `long`: ten times as many batches, where the whole fit is what counts."""
        steps = MODELS[model].steps[BATCHES.index(batch)]
        if long:
            return cls(model, batch, 10 * steps, 2 * steps, 3, long=True)
        if quick:
            steps = max(2, steps // 3)
        return cls(model, batch, steps, max(1, steps // 4), 4 if quick else 7)

    def splits(self) -> tuple[Split, Split]:
        """Training and validation data, the same in every process."""
        rng = np.random.default_rng(7)
        arrays = MODELS[self.model].arrays
        train, valid = (arrays(rng, steps * self.batch) for steps in (self.steps, self.valid_steps))
        return Split(*train, self.batch), Split(*valid, self.batch)


@dataclass(frozen=True)
class Model:
    """How a model is made and fed. `steps`: training batches of an epoch at each of `BATCHES`."""

    make: Callable[[], Any]
    arrays: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
    steps: tuple[int, int, int]


def pictures(*shape: int) -> Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]:
    """Noise over one of ten faint pictures, whose number is the class: nobody gets a loss near zero."""

    def arrays(rng: np.random.Generator, items: int) -> tuple[np.ndarray, np.ndarray]:
        centres = np.random.default_rng(1).standard_normal((CLASSES, *shape), dtype="float32")
        y = rng.integers(0, CLASSES, items).astype("int32")
        return 0.1 * centres[y] + rng.standard_normal((items, *shape), dtype="float32"), y

    return arrays


def token_rows(rng: np.random.Generator, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens, most of them out of the tenth of the vocabulary that stands for the class."""
    y = rng.integers(0, CLASSES, items).astype("int32")
    own = y[:, None] * (VOCABULARY // CLASSES) + rng.integers(0, VOCABULARY // CLASSES, (items, TOKENS))
    any_ = rng.integers(0, VOCABULARY, (items, TOKENS))
    return np.where(rng.random((items, TOKENS)) < 0.3, own, any_).astype("int32"), y


def token_successors(rng: np.random.Generator, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of tokens and of their successors: three times in four a fixed one."""
    following = np.random.default_rng(1).permutation(VOCABULARY)
    rows = np.empty((items, TOKENS + 1), dtype="int32")
    rows[:, 0] = rng.integers(0, VOCABULARY, items)
    for place in range(TOKENS):
        jump = rng.random(items) < 0.25
        rows[:, place + 1] = np.where(jump, rng.integers(0, VOCABULARY, items), following[rows[:, place]])
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])


def mlp() -> Any:
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(128, activation="relu", name="dense1"),
            layers.Dense(128, activation="relu", name="dense2"),
            layers.Dense(CLASSES, name="out"),
        ]
    )


def cnn() -> Any:
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(CLASSES, name="out"),
        ]
    )


def lstm() -> Any:
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((TOKENS,), dtype="int32"),
            layers.Embedding(VOCABULARY, WIDTH, name="tokens"),
            layers.LSTM(WIDTH, name="lstm"),
            layers.Dense(CLASSES, name="out"),
        ]
    )


def transformer() -> Any:
    """One block, causal, normalised before each part; the next token of each."""
    import keras
    from keras import layers

    class Places(layers.Layer):
        """Adds what is learned of each place."""

        def build(self, shape: Any) -> None:
            self.places = self.add_weight(shape=shape[1:], initializer="uniform")

        def call(self, x: Any) -> Any:
            return x + self.places

    ids = keras.Input((TOKENS,), dtype="int32")
    x = layers.Embedding(VOCABULARY, WIDTH, name="tokens")(ids)
    x = Places(name="places")(x)
    y = layers.LayerNormalization(epsilon=1e-5, name="norm1")(x)
    x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name="attention")(y, y, use_causal_mask=True)
    y = layers.LayerNormalization(epsilon=1e-5, name="norm2")(x)
    x = x + layers.Dense(WIDTH, name="down")(layers.Dense(4 * WIDTH, activation="gelu", name="up")(y))
    x = layers.LayerNormalization(epsilon=1e-5, name="norm3")(x)
    return keras.Model(ids, layers.Dense(VOCABULARY, name="out")(x))


def resnet() -> Any:
    """Three residual blocks with batch norm, of 16, 32 and 64 channels."""
    import keras
    from keras import layers

    def convolved(x: Any, channels: int, size: int, name: str) -> Any:
        x = layers.Conv2D(channels, size, padding="same", use_bias=False, name=f"{name}_conv")(x)
        return layers.BatchNormalization(name=f"{name}_norm")(x)

    relu = keras.activations.relu
    pixels = keras.Input((32, 32, 3))
    x = relu(convolved(pixels, RESIDUAL[0], 3, "stem"))
    for block, channels in enumerate(RESIDUAL):
        if block:
            x = layers.MaxPooling2D()(x)
        around = convolved(x, channels, 1, f"around{block}") if block else x
        y = relu(convolved(x, channels, 3, f"first{block}"))
        x = relu(convolved(y, channels, 3, f"second{block}") + around)
    return keras.Model(pixels, layers.Dense(CLASSES, name="out")(layers.GlobalAveragePooling2D()(x)))


MODELS = {
    "mlp": Model(mlp, pictures(784), (240, 160, 60)),
    "cnn": Model(cnn, pictures(28, 28, 1), (48, 20, 8)),
    "lstm": Model(lstm, token_rows, (48, 24, 8)),
    "transformer": Model(transformer, token_successors, (40, 16, 6)),
    "resnet": Model(resnet, pictures(32, 32, 3), (24, 10, 3)),
}
