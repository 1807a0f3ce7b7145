"""multilearn: one Learner for PyTorch, TensorFlow and JAX."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from multilearn import backend
from multilearn.errors import DISTRIBUTION

if TYPE_CHECKING:
    from multilearn import (
        checkpoint,
        early_stopping,
        errors,
        events,
        history,
        loggers,
        metrics,
        outputs,
        protocols,
        renderers,
        schedulers,
    )
    from multilearn.builder.builder import LearnerBuilder
    from multilearn.data import DataLoader, ImageFolder, Sharded, epoch_of, take, train_valid_split
    from multilearn.evaluation.evaluator import Evaluator
    from multilearn.evaluation.predict import predict
    from multilearn.events import Position
    from multilearn.following.follow import follow
    from multilearn.learner.interrupter import Interrupter
    from multilearn.learner.learner import Learner
    from multilearn.learner.listeners import EpochReport
    from multilearn.seeding.seed import set_seed
    from multilearn.trials.overfit import overfit
    from multilearn.trials.sweep import find_learning_rate

__all__ = [
    "DataLoader",
    "EpochReport",
    "Evaluator",
    "ImageFolder",
    "Interrupter",
    "Learner",
    "LearnerBuilder",
    "Position",
    "Sharded",
    "backend",
    "checkpoint",
    "early_stopping",
    "epoch_of",
    "errors",
    "events",
    "find_learning_rate",
    "follow",
    "history",
    "loggers",
    "metrics",
    "outputs",
    "overfit",
    "predict",
    "protocols",
    "renderers",
    "schedulers",
    "set_seed",
    "take",
    "train_valid_split",
]

_HOMES = {
    "DataLoader": "data",
    "EpochReport": "learner.listeners",
    "Evaluator": "evaluation",
    "ImageFolder": "data.images",
    "Interrupter": "learner.interrupter",
    "Learner": "learner",
    "LearnerBuilder": "builder",
    "find_learning_rate": "trials",
    "epoch_of": "data",
    "overfit": "trials",
    "follow": "following",
    "Position": "events",
    "Sharded": "data",
    "predict": "evaluation",
    "set_seed": "seeding.seed",
    "take": "data",
    "train_valid_split": "data",
}
"""Where the names are that are no modules. Everything is imported when it is first asked for: PEP 562."""

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version(DISTRIBUTION)
        from multilearn.foreign_words import check_arguments, missing_name

        if name not in __all__:
            missing_name(__name__, name, __all__)
        home = import_module(f"{__name__}.{_HOMES.get(name, name)}")
        found = globals()[name] = getattr(home, name) if name in _HOMES else home
        if isinstance(found, type):
            check_arguments(found)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


backend.announce()
