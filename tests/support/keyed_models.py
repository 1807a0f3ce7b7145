"""Ten kinds of models and many optimizers, to be keyed. Run as a script, it prints their keys, types and shapes."""

from __future__ import annotations

import json
from collections.abc import Callable

import keras
from keras import layers, optimizers

from multilearn_keras.state.keys import flatten, variables
from multilearn_keras.state.optimizer_keys import optimizer_variables
from multilearn_keras.state.transfer import specification


def perceptron() -> keras.Model:
    return keras.Sequential(
        [keras.Input((8,)), layers.Dense(6, activation="relu"), layers.Dropout(0.3), layers.Dense(3)]
    )


def convolutions() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            *(layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()),
            *(layers.Conv2D(4, 3), layers.BatchNormalization(), layers.GlobalAveragePooling2D()),
            layers.Dense(3),
        ]
    )


def branches() -> keras.Model:
    left, right = keras.Input((5,)), keras.Input((5,))
    shared = layers.Dense(4)
    joined = layers.Concatenate()([shared(left), shared(right), layers.Dense(2)(left)])
    return keras.Model([left, right], layers.Dense(3)(joined))


def nested() -> keras.Model:
    x = keras.Input((6,))
    encoder = keras.Sequential([layers.Dense(4), keras.Sequential([layers.Dense(4), layers.Dropout(0.1)])])
    inner = keras.Input((4,))
    head = keras.Model(inner, layers.Dense(3)(layers.LayerNormalization()(inner)))
    return keras.Model(x, head(encoder(x)))


class Heads(keras.Model):
    """Layers in a list, a dict, a tuple and an underscored attribute; a variable and a metric of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [layers.Dense(4), layers.Dropout(0.2), layers.Dense(4)]
        self.heads = {"a/b": layers.Dense(2), "a": layers.Dense(3), 7: layers.Dense(1)}
        self.norms = (layers.LayerNormalization(), [layers.BatchNormalization()])
        self._gate = layers.Dense(4)
        self.seen = keras.metrics.Mean()
        self.temperature = self.add_weight(shape=(), initializer="ones", trainable=False)

    def call(self, x: object, training: bool = False) -> object:
        for block in self.blocks:
            x = block(x, training=training) if isinstance(block, layers.Dropout) else block(x)
        x = self.norms[1][0](self.norms[0](self._gate(x)), training=training) / self.temperature
        return keras.ops.concatenate([head(x) for head in self.heads.values()], axis=-1)


def subclassed() -> keras.Model:
    model = Heads()
    model(keras.Input((5,)))
    return model


def recurrent() -> keras.Model:
    return keras.Sequential([keras.Input((4, 3)), layers.LSTM(5, dropout=0.1, recurrent_dropout=0.2), layers.Dense(2)])


def bidirectional() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Bidirectional(layers.GRU(3, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(2)),
        ]
    )


def attention() -> keras.Model:
    x = keras.Input((4, 6))
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 3, dropout=0.1)(x, x))
    return keras.Model(x, layers.Dense(6)(layers.Dense(12, activation="gelu")(y)))


def tokens() -> keras.Model:
    return keras.Sequential(
        [keras.Input((6,), dtype="int32"), layers.Embedding(9, 4), layers.Conv1D(4, 3), layers.GroupNormalization(2)]
    )


def built_late() -> keras.Model:
    model = keras.Sequential([layers.Dense(4), layers.Dropout(0.5), layers.Dense(2)])
    model.build((None, 3))
    return model


MODELS: dict[str, Callable[[], keras.Model]] = {
    make.__name__: make
    for make in (
        *(perceptron, convolutions, branches, nested, subclassed),
        *(recurrent, bidirectional, attention, tokens, built_late),
    )
}

OPTIMIZERS: dict[str, Callable[[], optimizers.Optimizer]] = {
    "sgd": optimizers.SGD,
    "sgd, momentum": lambda: optimizers.SGD(momentum=0.9),
    "sgd, nesterov, average": lambda: optimizers.SGD(momentum=0.9, nesterov=True, use_ema=True),
    "adam": optimizers.Adam,
    "adam, amsgrad": lambda: optimizers.Adam(amsgrad=True),
    "adam, average": lambda: optimizers.Adam(use_ema=True, ema_overwrite_frequency=2),
    "adam, clipped": lambda: optimizers.Adam(global_clipnorm=1.0),
    "adam, schedule": lambda: optimizers.Adam(optimizers.schedules.CosineDecay(1e-3, 10)),
    "adamw": optimizers.AdamW,
    "nadam": optimizers.Nadam,
    "adamax": optimizers.Adamax,
    "adagrad": optimizers.Adagrad,
    "adadelta": optimizers.Adadelta,
    "rmsprop": optimizers.RMSprop,
    "rmsprop, centered": lambda: optimizers.RMSprop(momentum=0.9, centered=True),
    "ftrl": optimizers.Ftrl,
    "lion": optimizers.Lion,
    "lamb": optimizers.Lamb,
    "adafactor": optimizers.Adafactor,
    "muon": optimizers.Muon,
    "scaled adam": lambda: optimizers.LossScaleOptimizer(optimizers.Adam()),
    "scaled sgd": lambda: optimizers.LossScaleOptimizer(optimizers.SGD()),
    "scaled nadam, average": lambda: optimizers.LossScaleOptimizer(optimizers.Nadam(use_ema=True)),
    "scaled adafactor": lambda: optimizers.LossScaleOptimizer(optimizers.Adafactor()),
}


def described(record: dict[str, object]) -> list[object]:
    return [[key, leaf.dtype, list(leaf.shape)] for key, leaf in flatten(record).items()]


def main() -> None:
    keys = {name: described(specification(variables(make()))) for name, make in MODELS.items()}
    model = tokens()
    for name, make in OPTIMIZERS.items():
        optimizer = make()
        optimizer.build(model.trainable_variables)
        keys[name] = described(specification(optimizer_variables(optimizer, variables(model))))
    print(json.dumps(keys))


if __name__ == "__main__":
    main()
