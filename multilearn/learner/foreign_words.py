"""Arguments that are called otherwise here: Keras' `fit(epochs=...)` is refused with what to write in its place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import ParamSpec, TypeVar

from multilearn.errors import UnknownArgument

__all__ = ["BUILD", "EVALUATE", "FIT", "PREDICT", "refusing"]

P = ParamSpec("P")
R = TypeVar("R")

_LOADER = "multilearn.DataLoader((x, y), batch_size=64)"
_DATA = {
    "x": f"give the data as one loader: {_LOADER}",
    "y": f"targets are in the batches of the loader: {_LOADER}",
    "batch_size": f"the loader has it: {_LOADER}",
    "sample_weight": "weights are the third part of a batch: multilearn.DataLoader((x, y, weights), batch_size=64)",
    "shuffle": "the loader has it: multilearn.DataLoader((x, y), batch_size=64, shuffle=True)",
    "num_workers": "the loader has them: multilearn.DataLoader(data, 64, num_workers=2)",
    "steps": "bound the loader: itertools.islice(batches, n), dataset.take(n), or fewer items",
    "callbacks": "give metric_loggers=, or a renderer=, which see every event",
    "verbose": "give renderer=multilearn.renderers.SilentRenderer()",
    "return_dict": "values always come by name, in a dict",
}
_BUILDER = "LearnerBuilder(directory)"

FIT = {
    **_DATA,
    "epochs": f"{_BUILDER}.num_epochs(n)",
    "num_epochs": f"{_BUILDER}.num_epochs(n)",
    "max_epochs": f"{_BUILDER}.num_epochs(n)",
    "callbacks": f"use {_BUILDER}.early_stopping(...), .with_file_checkpointer(), .restore_best(), a scheduler as lr=, "
    "and .metric_loggers(...) for a listener of your own",
    "verbose": f"{_BUILDER}.renderer(multilearn.renderers.SilentRenderer()), and .summary() for a table at the end",
    "validation_data": "the second argument: fit(train, valid)",
    "validation_split": "divide the arrays, and give two loaders: fit(train, valid)",
    "validation_batch_size": "the loader for validation has it: fit(train, valid)",
    "validation_steps": "bound the loader for validation: itertools.islice(batches, n), or dataset.take(n)",
    "validation_freq": "validation follows every epoch; leave it out, or give fewer data for it",
    "val_dataloaders": "the second argument: fit(train, valid)",
    "train_dataloaders": "the first argument: fit(train, valid)",
    "steps_per_epoch": "bound the loader: itertools.islice(batches, n), dataset.take(n), or fewer items",
    "initial_epoch": f'{_BUILDER}.checkpoint("latest") goes on where the run in the directory was',
    "ckpt_path": f'{_BUILDER}.checkpoint("latest"), or .checkpoint(epoch, directory)',
    "class_weight": "give each item the weight of its class, as third part of a batch: "
    "multilearn.DataLoader((x, y, class_weight[y]), batch_size=64), with class_weight an array by class",
    "lr": "the learner is built with it: build(model, optimizer, lr)",
    "learning_rate": "the learner is built with it: build(model, optimizer, lr)",
}
EVALUATE = _DATA
PREDICT = {
    **_DATA,
    "verbose": "nothing is printed; leave it out",
    "callbacks": "predictions come one batch after the other: look at each in a for loop",
}
BUILD = {
    "loss": "the task has it: Classification(model, loss=...), or model.compile(optimizer, loss)",
    "metrics": f"{_BUILDER}.metrics(multilearn.metrics.Accuracy())",
    "weighted_metrics": f"{_BUILDER}.metrics(multilearn.metrics.Accuracy())",
    "loss_weights": "model.compile(optimizer, loss, loss_weights=...)",
    "learning_rate": "lr=...",
    "run_eagerly": f"{_BUILDER}.engine(capture=False)",
    "jit_compile": f'{_BUILDER}.engine(compile="xla"), or "inductor" on torch',
    "epochs": f"{_BUILDER}.num_epochs(n)",
    "num_epochs": f"{_BUILDER}.num_epochs(n)",
    "callbacks": FIT["callbacks"],
}


def refusing(words: Mapping[str, str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have a function raise `UnknownArgument` for keyword arguments it does not have: `words` says what to use."""

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        known = inspect.signature(function).parameters

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= known.keys():
                raise _refusal(function.__name__, [name for name in kwargs if name not in known], list(known), words)
            return function(*args, **kwargs)

        return checked

    return decorated


def _refusal(function: str, unknown: list[str], known: list[str], words: Mapping[str, str]) -> UnknownArgument:
    own = [name for name in known if name != "self"]
    remedies = []
    for name in unknown:
        near = get_close_matches(name, own, 1)
        meant = f"did you mean {near[0]}?" if near else "leave it out"
        remedies.append(f"{name}: {words.get(name, meant)}")
    return UnknownArgument(
        f"{function} takes {', '.join(own)}.",
        received=", ".join(unknown),
        remedy=f"In their place: {'; '.join(remedies)}." if len(unknown) > 1 else f"For {remedies[0]}.",
    )
