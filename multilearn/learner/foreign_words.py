"""Arguments that are called otherwise here: Keras' `fit(epochs=...)` is refused with what to write in its place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import ParamSpec, TypeVar

from multilearn.errors import UnknownArgument

__all__ = ["refusing"]

P = ParamSpec("P")
R = TypeVar("R")

_LOADER = "multilearn.DataLoader((x, y), batch_size=64)"
_WORKERS = "multilearn.DataLoader(data, 64, num_workers=2)"
_BUILDER = "LearnerBuilder(directory)"
_LISTENERS = "metric_loggers= or renderer= of an Evaluator, which see every event, or a for loop over predictions"
_BOUND = "itertools.islice(batches, n), dataset.take(n), or fewer items"

_WORDS = {
    "x": f"give the data as one loader: {_LOADER}",
    "y": f"targets are in the batches of the loader: {_LOADER}",
    "batch_size": f"the loader has it: {_LOADER}",
    "sample_weight": "weights are the third part of a batch: multilearn.DataLoader((x, y, weights), batch_size=64)",
    "class_weight": "give each item the weight of its class, as third part of a batch: "
    "multilearn.DataLoader((x, y, class_weight[y]), batch_size=64), with class_weight an array by class",
    "shuffle": "the loader has it: multilearn.DataLoader((x, y), batch_size=64, shuffle=True)",
    **dict.fromkeys(("workers", "num_workers", "use_multiprocessing"), f"the loader has them: {_WORKERS}"),
    "max_queue_size": "the loader has it: multilearn.DataLoader(data, 64, prefetch=4)",
    **dict.fromkeys(("steps", "steps_per_epoch"), f"bound the loader: {_BOUND}"),
    "validation_steps": f"bound the loader for validation: {_BOUND}",
    **dict.fromkeys(("validation_data", "val_dataloaders"), "the second argument: fit(train, valid)"),
    "train_dataloaders": "the first argument: fit(train, valid)",
    "validation_split": "divide the arrays, and give two loaders: fit(train, valid)",
    "validation_batch_size": "the loader for validation has it: fit(train, valid)",
    "validation_freq": "validation follows every epoch; leave it out, or give fewer data for it",
    **dict.fromkeys(("epochs", "num_epochs", "max_epochs"), f"{_BUILDER}.num_epochs(n)"),
    "initial_epoch": f'{_BUILDER}.checkpoint("latest") goes on where the run in the directory was',
    "ckpt_path": f'{_BUILDER}.checkpoint("latest"), or .checkpoint(epoch, directory); '
    "checkpoint= of evaluate and predict",
    "callbacks": f"use {_BUILDER}.early_stopping(...), .with_file_checkpointer(), .restore_best(), a scheduler as lr=, "
    f"and .metric_loggers(...) for a listener of your own; without a fit, use {_LISTENERS}",
    "verbose": f"{_BUILDER}.renderer(multilearn.renderers.SilentRenderer()), or renderer= of an Evaluator; "
    "predict prints nothing",
    "return_dict": "values always come by name, in a dict",
    **dict.fromkeys(("lr", "learning_rate"), "the learner is built with it: build(model, optimizer, lr)"),
    "loss": "the task has it: Classification(model, loss=...), or model.compile(optimizer, loss)",
    **dict.fromkeys(
        ("metrics", "weighted_metrics"),
        f"{_BUILDER}.metrics(multilearn.metrics.Accuracy()), or metrics= of an Evaluator",
    ),
    "loss_weights": "model.compile(optimizer, loss, loss_weights=...)",
    "run_eagerly": f"{_BUILDER}.engine(capture=False)",
    "jit_compile": f'{_BUILDER}.engine(compile="xla"), or "inductor" on torch',
}


def refusing(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function raise `UnknownArgument` for keyword arguments it does not have, which says what to use."""
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not kwargs.keys() <= known.keys():
            raise _refusal(function.__name__, [name for name in kwargs if name not in known], list(known))
        return function(*args, **kwargs)

    return checked


def _refusal(function: str, unknown: list[str], known: list[str]) -> UnknownArgument:
    own = [name for name in known if name != "self"]
    remedies = []
    for name in unknown:
        near = get_close_matches(name, own, 1)
        meant = f"did you mean {near[0]}?" if near else "leave it out"
        remedies.append(f"{name}: {_WORDS.get(name, meant)}")
    return UnknownArgument(
        f"{function} takes {', '.join(own)}.",
        received=", ".join(unknown),
        remedy=f"In their place: {'; '.join(remedies)}." if len(unknown) > 1 else f"For {remedies[0]}.",
    )
