"""What every peer starts from: the same arrays and the same weights."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training.workloads import MODELS, Split, Work

__all__ = ["RATE", "Setup", "Weights"]

RATE = 1e-3

Weights = dict[str, list[np.ndarray]]
"""The arrays of each Keras layer, in its order, by the layer's name."""


@dataclass(frozen=True)
class Setup:
    """A piece of work, ready to be done by any peer."""

    work: Work
    train: Split
    valid: Split
    weights: Weights
    scratch: Path

    @classmethod
    def of(cls, work: Work) -> Setup:
        layers = MODELS[work.model].make().layers
        weights = {layer.name: layer.get_weights() for layer in layers if layer.weights}
        return cls(work, *work.splits(), weights, Path(tempfile.mkdtemp(prefix="multilearn-bench-")))

    def brief(self) -> Setup:
        """The first 20 batches, for three epochs."""
        work = replace(self.work, steps=min(20, self.work.steps), valid_steps=min(5, self.work.valid_steps), epochs=3)
        train, valid = self.train.first(work.steps), self.valid.first(work.valid_steps)
        return replace(self, work=work, train=train, valid=valid)

    def keras_model(self) -> Any:
        """A new Keras model with the common weights."""
        model = MODELS[self.work.model].make()
        for name, arrays in self.weights.items():
            model.get_layer(name).set_weights(arrays)
        return model
