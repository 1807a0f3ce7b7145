"""Tasks with turns: two numbers that pull at each other, and a small GAN with all that a resume has to bring back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from multilearn.outputs import Output
from multilearn_keras import Turn

__all__ = ["Gan", "Numbers", "Tug", "of_turns", "points"]


def scale(start: float) -> keras.Model:
    """One number that is multiplied with."""
    dense = layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(start))
    return keras.Sequential([keras.Input((1,)), dense])


class Tug:
    """`a` and `b` with a * b * x: each has its own idea of what that should be, b's with another count."""

    def __init__(self, **turns: Mapping[str, int]) -> None:
        self.model, self.other = scale(0.5), scale(2.0)
        steps = {"a": (self.model, self.up), "b": (self.other, self.down)}
        self.turns = {name: Turn(*of, **turns.get(name, {})) for name, of in steps.items()}

    def up(self, x: Any, training: bool) -> Output:
        return Output(ops.mean(ops.square(self.other(self.model(x)) - 3 * x)), ops.shape(x)[0])

    def down(self, x: Any, training: bool) -> Output:
        return Output(ops.mean(ops.square(self.other(self.model(x)) + x)), 2 * ops.shape(x)[0])


class Numbers:
    """What `Tug` does, by hand: gradient descent at a rate for each."""

    def __init__(self, rates: Mapping[str, float]) -> None:
        self.a, self.b, self.rates = 0.5, 2.0, rates

    def loss(self, turn: str, x: np.ndarray[Any, Any]) -> float:
        goal = 3 if turn == "a" else -1
        return float(np.mean((self.a * self.b * x - goal * x) ** 2))

    def take(self, turn: str, x: np.ndarray[Any, Any]) -> float:
        """The loss before the update that it makes."""
        before, goal = self.loss(turn, x), 3 if turn == "a" else -1
        other = self.b if turn == "a" else self.a
        gradient = float(np.mean(2 * (self.a * self.b * x - goal * x) * other * x))
        setattr(self, turn, getattr(self, turn) - self.rates[turn] * gradient)
        return before


def network(*units: int, noisy: bool) -> keras.Model:
    hidden = [layers.Dense(units[1], activation="leaky_relu")]
    hidden += [layers.BatchNormalization(momentum=0.8), layers.Dropout(0.2)] if noisy else []
    return keras.Sequential([keras.Input((units[0],)), *hidden, layers.Dense(units[2])])


class Gan:
    """Its critic has statistics and random numbers, and the noise is drawn by the task."""

    def __init__(self, times: int = 1, every: int = 1) -> None:
        self.model, self.critic = network(3, 8, 2, noisy=False), network(2, 8, 1, noisy=True)
        self.seeds = keras.random.SeedGenerator()
        self.turns = {
            "critic": Turn(self.critic, self.criticise, times=times),
            "generator": Turn(self.model, self.generate, every=every),
        }

    def judged(self, drawn: Any, target: float, training: bool) -> Any:
        logits = self.critic(drawn, training=training)
        return ops.mean(ops.binary_crossentropy(ops.full_like(logits, target), logits, from_logits=True))

    def drawn(self, real: Any) -> Any:
        return self.model(keras.random.normal((ops.shape(real)[0], 3), seed=self.seeds))

    def criticise(self, real: Any, training: bool) -> Output:
        loss = self.judged(real, 1.0, training) + self.judged(self.drawn(real), 0.0, training)
        return Output(loss, ops.shape(real)[0])

    def generate(self, real: Any, training: bool) -> Output:
        return Output(self.judged(self.drawn(real), 1.0, training), ops.shape(real)[0])


def points(items: int) -> np.ndarray[Any, Any]:
    """(items, 2), on a circle."""
    angles = np.linspace(0, 2 * np.pi, items, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")


def of_turns(history: Mapping[str, Any], *turns: str) -> dict[str, list[float]]:
    """The losses of the turns after every epoch of training."""
    return {turn: list(history["train"][f"{turn} Loss"]) for turn in turns}
