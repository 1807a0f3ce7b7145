"""Names that are other ones here: Keras' `fit(epochs=...)` or `F1Score` is refused with what to write in its place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn, ParamSpec, TypeVar

from multilearn.errors import UnknownArgument, with_users_frames

__all__ = ["check_arguments", "missing_attribute", "missing_name", "refusing", "suggesting"]

P = ParamSpec("P")
R = TypeVar("R")

_LOADER = "multilearn.DataLoader((x, y), batch_size=64)"
_WORKERS = "multilearn.DataLoader(data, 64, num_workers=2)"
_BUILDER = "LearnerBuilder(directory)"
_LISTENERS = "metric_loggers= or renderer= of an Evaluator, which see every event, or a for loop over predictions"

_WORDS = {
    "x": f"give the data as one loader: {_LOADER}",
    "y": f"targets are in the batches of the loader: {_LOADER}",
    "batch_size": f"the loader has it: {_LOADER}",
    "sample_weight": "weights are the third part of a batch: multilearn.DataLoader((x, y, weights), batch_size=64)",
    "class_weight": "the task has it: Classification(model, class_weight={0: 1.0, 1: 5.0}); of a compiled model write "
    "multilearn_keras.CompiledModel(model, class_weight={0: 1.0, 1: 5.0})",
    "shuffle": "the loader has it: multilearn.DataLoader((x, y), batch_size=64, shuffle=True)",
    **dict.fromkeys(("workers", "num_workers", "use_multiprocessing"), f"the loader has them: {_WORKERS}"),
    "max_queue_size": "the loader has it: multilearn.DataLoader(data, 64, prefetch=4)",
    "steps": "give the first n batches: multilearn.take(loader, n)",
    "steps_per_epoch": "the loader has it: multilearn.epoch_of(loader, n), or loader.epoch_of(n) of a DataLoader",
    "validation_steps": "give the first n batches for validation: multilearn.take(valid, n)",
    **dict.fromkeys(("validation_data", "val_dataloaders"), "the second argument: fit(train, valid)"),
    "train_dataloaders": "the first argument: fit(train, valid)",
    "validation_split": "two loaders, of the parts of multilearn.train_valid_split((x, y), 0.2): fit(train, valid)",
    "validation_batch_size": "the loader for validation has it: fit(train, valid)",
    "validation_freq": f"{_BUILDER}.validate_every(n)",
    **dict.fromkeys(("epochs", "num_epochs", "max_epochs"), f"{_BUILDER}.num_epochs(n)"),
    "initial_epoch": f'{_BUILDER}.checkpoint("latest") resumes where the run in the directory was',
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


_CLASSES = {
    "patience": "epochs",
    "monitor": "metric",
    "mode": "direction",
    "num_classes": "classes",
    "test_size": "share",
    "random_state": "seed",
    "n": "k",
    **dict.fromkeys(("decay_steps", "total_steps", "warmup_steps", "num_training", "num_it"), "updates"),
    **dict.fromkeys(("min_lr", "start_lr"), "lowest"),
    **dict.fromkeys(("max_lr", "end_lr"), "highest"),
    "early_stop_threshold": "diverged",
}
"""Arguments of classes of other libraries, by what they are here."""

_NAMES = {
    "F1": "FBetaScore",
    "F1Score": "FBetaScore",
    "AUC": "AUROC",
    "PRAUC": "AveragePrecision",
    "MAE": "MeanAbsoluteError",
    "MSE": "MeanSquaredError",
    "RMSE": "RootMeanSquaredError",
    "R2Score": "R2",
    "IoU": "MeanIoU",
    "JaccardIndex": "MeanIoU",
    "Top5Accuracy": "TopKAccuracy",
    "TopKCategoricalAccuracy": "TopKAccuracy",
    "SparseTopKCategoricalAccuracy": "TopKAccuracy",
    "EarlyStopping": "early_stopping.NoImprovement",
    "ModelCheckpoint": "LearnerBuilder.with_file_checkpointer",
    "CSVLogger": "`multilearn export --to csv`",
    "ReduceLROnPlateau": "schedulers.ReduceOnPlateau",
    "CosineDecay": "schedulers.Cosine",
    "ExponentialDecay": "schedulers.Exponential",
    "Trainer": "LearnerBuilder",
    "Dataset": "DataLoader",
    "train_test_split": "train_valid_split",
    "random_split": "train_valid_split",
}
"""Names in other libraries, by what they are here."""


def missing_name(module: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise the `AttributeError` for a name that a module does not have, with the nearest one that it has."""
    near = _NAMES.get(name) or next(iter(get_close_matches(name, known, 1)), None)
    meant = f" Did you mean {near}?" if near else ""
    raise AttributeError(f"module {module!r} has no attribute {name!r}.{meant}", name=name)


def missing_attribute(thing: object, name: str) -> NoReturn:
    """Raise the `AttributeError` for what an object does not have, with the nearest public name that it has."""
    known = [each for each in dir(type(thing)) if not each.startswith("_")]
    near = get_close_matches(name, known, 1)
    meant = f" Did you mean {near[0]}?" if near and not name.startswith("_") else ""
    raise AttributeError(f"{type(thing).__name__!r} object has no attribute {name!r}.{meant}", name=name)


def suggesting(module: Mapping[str, Any]) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a module, whose namespace is given when all public names are in it: for names that it does
    not have. Its classes raise `UnknownArgument` for arguments that they do not have, saying which one is meant."""
    for public in module["__all__"]:
        found = module[public]
        if inspect.isclass(found) and not getattr(found, "_is_protocol", False) and not issubclass(found, Exception):
            check_arguments(found)
    return lambda name: missing_name(module["__name__"], name, module["__all__"])


def check_arguments(kind: Any) -> None:
    """Have a class raise `UnknownArgument` for keyword arguments that it does not have, which says what to use."""
    made = kind.__init__
    if not inspect.isfunction(made) or "__init__" not in vars(kind):
        return
    known = inspect.signature(made).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return

    @functools.wraps(made)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs and not kwargs.keys() <= known.keys():
            raise _refusal(kind.__name__, [name for name in kwargs if name not in known], list(known), {})
        made(self, *args, **kwargs)

    kind.__init__ = checked


def refusing(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function raise `UnknownArgument` for keyword arguments it does not have, which says what to use; and what
    it raises with the frames of users alone."""
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not kwargs.keys() <= known.keys():
            raise _refusal(function.__name__, [name for name in kwargs if name not in known], list(known), _WORDS)
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            raise with_users_frames(error)  # noqa: B904

    return checked


def _refusal(function: str, unknown: list[str], known: list[str], words: Mapping[str, str]) -> UnknownArgument:
    own = [name for name in known if name != "self"]
    remedies = []
    for name in unknown:
        near = [_CLASSES[name]] if _CLASSES.get(name) in own else get_close_matches(name, own, 1)
        meant = f"did you mean {near[0]}?" if near else "leave it out"
        remedies.append(f"{name}: {words.get(name, meant)}")
    remedy = f"In their place: {'; '.join(remedies)}." if len(unknown) > 1 else f"For {remedies[0]}."
    return UnknownArgument(
        f"{function} takes {', '.join(own) or 'no arguments'}.",
        received=", ".join(unknown),
        remedy=remedy.replace("?.", "?"),
    )
