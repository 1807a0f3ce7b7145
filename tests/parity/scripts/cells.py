"""What moves: four kinds of models, each under every optimizer of Keras and every policy that keeps other types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import multilearn  # noqa: F401 # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, optimizers

BATCH, CLASSES = 16, 4
# the class of all, and those made of others
NOT_ALONE = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
Batches = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def mlp() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((12,)),
            *(layers.Dense(16, activation="relu"), layers.Dropout(0.2), layers.Dense(16, activation="tanh")),
            layers.Dense(CLASSES, dtype="float32"),
        ]
    )


def cnn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            *(layers.Conv2D(6, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()),
            *(layers.Flatten(), layers.Dropout(0.2), layers.Dense(CLASSES, dtype="float32")),
        ]
    )


def lstm() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((5, 6)),
            layers.LSTM(8, dropout=0.1, recurrent_dropout=0.1),
            layers.Dense(CLASSES, dtype="float32"),
        ]
    )


def transformer() -> keras.Model:
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4, dropout=0.1)(y, y)
    x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x)))
    return keras.Model(tokens, layers.Dense(CLASSES, dtype="float32")(layers.GlobalAveragePooling1D()(x)))


def without_decay_of_biases() -> Any:
    optimizer = optimizers.AdamW(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def scaled(optimizer: Any, **options: Any) -> Any:
    return optimizers.LossScaleOptimizer(optimizer, **options)


MODELS: dict[str, Callable[[], keras.Model]] = {make.__name__: make for make in (mlp, cnn, lstm, transformer)}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    # each class as it is by default
    **{
        name: each
        for name, each in vars(optimizers).items()
        if name not in NOT_ALONE and isinstance(each, type) and issubclass(each, optimizers.Optimizer)
    },
    "SGD momentum": lambda: optimizers.SGD(momentum=0.9),
    "SGD nesterov": lambda: optimizers.SGD(momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD average": lambda: optimizers.SGD(momentum=0.9, use_ema=True, ema_momentum=0.5),
    "Adam amsgrad": lambda: optimizers.Adam(amsgrad=True),
    "Adam average": lambda: optimizers.Adam(use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    "Adam clipnorm": lambda: optimizers.Adam(clipnorm=0.1),
    "Adam clipvalue": lambda: optimizers.Adam(clipvalue=0.01),
    "Adam global_clipnorm": lambda: optimizers.Adam(global_clipnorm=0.1),
    "Adam schedule": lambda: optimizers.Adam(optimizers.schedules.CosineDecay(1e-2, 10)),
    "AdamW excluding": without_decay_of_biases,
    "RMSprop centered": lambda: optimizers.RMSprop(momentum=0.9, centered=True),
    "scaled Adam": lambda: scaled(optimizers.Adam(), dynamic_growth_steps=2),
    "scaled SGD overflowing": lambda: scaled(optimizers.SGD(momentum=0.9), initial_scale=2.0**127),
    "scaled Nadam average": lambda: scaled(optimizers.Nadam(use_ema=True)),
}
# on every model; the others on the first one
EVERYWHERE = (
    *("Adam", "AdamW", "SGD momentum", "RMSprop", "Adafactor", "Lion", "Muon"),
    *("Adam average", "SGD average", "scaled Adam"),
)
# for the policies with types of their own: what they train, and with what
POLICIES = {
    "mixed_bfloat16": (tuple(MODELS), ("Adam", "SGD momentum")),
    "mixed_float16": (tuple(MODELS), ("Adam", "SGD momentum")),
    "bfloat16": (("mlp",), ("Adam average",)),
}


@dataclass(frozen=True)
class Cell:
    """A model, an optimizer and a policy."""

    model: str
    optimizer: str
    policy: str = "float32"

    def __str__(self) -> str:
        return f"{self.model}, {self.optimizer}, {self.policy}"

    def made(self) -> tuple[keras.Model, Any]:
        """The model and the optimizer, of the process's seed."""
        keras.backend.clear_session()
        keras.config.set_dtype_policy(self.policy)
        return MODELS[self.model](), OPTIMIZERS[self.optimizer]()

    def batches(self, n: int) -> Batches:
        """The first n batches."""
        shape = {"mlp": (12,), "cnn": (8, 8, 2), "lstm": (5, 6), "transformer": (6,)}[self.model]
        random = np.random.default_rng(0)
        drawn = []
        for _ in range(n):
            x = random.normal(size=(BATCH, *shape)).astype("float32")
            if self.model == "transformer":
                x = np.rint(abs(x) * 5).clip(0, 19).astype("int32")
            drawn.append((x, random.integers(0, CLASSES, BATCH).astype("int32")))
        return drawn


CELLS = {
    str(cell): cell
    for cell in (
        *(Cell("mlp", optimizer) for optimizer in OPTIMIZERS),
        *(Cell(model, optimizer) for model in MODELS if model != "mlp" for optimizer in EVERYWHERE),
        *(
            Cell(model, optimizer, policy)
            for policy, (models, chosen) in POLICIES.items()
            for model in models
            for optimizer in chosen
        ),
    )
}
