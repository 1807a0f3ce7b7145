"""A builder as data: the table of a TOML file, which is also in experiment.json.

    directory = "runs/digits-{backend}"
    num_epochs = 10
    summary = true

    [[metrics]]
    type = "Accuracy"           # on both splits, plotted; or splits = ["valid"], plotted = false

    [file_checkpointer]
    type = "MpkGzRecorder"

    [early_stopping]
    type = "NoImprovement"
    epochs = 3

The keys are the methods of `LearnerBuilder`, the types are classes of `multilearn`, with their parameters.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from multilearn import checkpoint, early_stopping
from multilearn import metrics as measures
from multilearn.application_log import file_log
from multilearn.checkpoint import DEFAULT
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.settings import Registered, Settings
from multilearn.tables import refuse_unknown, role_of, table_of, thing_of

if TYPE_CHECKING:
    from multilearn.builder import LearnerBuilder

__all__ = ["builder_of", "declared", "read_experiment", "read_toml", "to_toml"]

_METRICS = role_of(measures, "name", "merge", "entry")
_RECORDERS = role_of(checkpoint, "read", "write")
_STRATEGIES = role_of(checkpoint, "keep")
_RULES = role_of(early_stopping, "reason")
_SPLITS = (Split.TRAIN, Split.VALID)


def declared(settings: Settings) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The table, and in words what is in the builder and is not data: a metric or a renderer of one's own."""
    table: dict[str, Any] = {"directory": settings.directory, "overwrite": settings.overwrite}
    left_out: list[str] = []

    def write(key: str, value: Any, tell: Callable[[Any], Any] = lambda value: value) -> None:
        if value is not None:
            try:
                table[key] = tell(value)
            except ConfigurationError:
                left_out.append(f".{key}({value!r})")

    table["num_epochs"], table["grads_accumulation"] = settings.epochs, settings.accumulation
    write("checkpoint_every", settings.checkpoint_every, _parameters)
    write("restore_best", settings.restore_best, _parameters)
    write("devices", settings.device, lambda device: [device])
    write("nan_policy", settings.nan_policy)
    write("summary", settings.show_summary)
    write("engine", {"capture": settings.capture})
    write("file_checkpointer", settings.recorder, lambda recorder: table_of(recorder, _RECORDERS))
    if settings.strategy is not DEFAULT:
        write("checkpointing_strategy", settings.strategy, lambda strategy: table_of(strategy, _STRATEGIES))
    write("early_stopping", settings.early_stopping, lambda rule: table_of(rule, _RULES))
    if settings.resume is not None:
        source = settings.resume.directory
        table["checkpoint"] = {"which": settings.resume.which} | ({} if source is None else {"directory": str(source)})
    table["metrics"] = _metric_tables(settings.metrics, left_out)
    if settings.loggers == ():
        table["metric_loggers"] = []
    elif settings.loggers is not None:
        left_out.append(f".metric_loggers({', '.join(type(logger).__name__ for logger in settings.loggers)})")
    if settings.application_log is None:
        table["application_logger"] = False
    elif settings.application_log is not file_log:
        left_out.append(".with_application_logger(...)")
    if settings.renderer is not None:
        left_out.append(f".renderer({type(settings.renderer).__name__})")
    if settings.interrupter is not None:
        left_out.append(".with_interrupter(...)")
    return table, tuple(left_out)


def to_toml(settings: Settings) -> str:
    """The table as TOML. Raises `ConfigurationError` where something in the builder is not data."""
    import tomli_w

    table, left_out = declared(settings)
    if left_out:
        raise ConfigurationError(
            "Only data can be written as TOML.",
            received=", ".join(left_out),
            remedy="Write the builder before these are added, and add them after from_toml.",
        )
    return tomli_w.dumps(table)


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a file. Raises `ConfigurationError` for a file that is missing or not TOML."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "A builder is read from a TOML file.", received=f"{path}: {error}", remedy="Compare it with .to_toml()."
        ) from error


def read_experiment(path: Path) -> tuple[dict[str, Any], Sequence[str]]:
    """What `declared` gave when experiment.json at `path` was written."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return dict(document["builder"]), list(document["not_data"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            "The experiment.json of a run has the builder it was declared with.",
            received=f"{path}: {type(error).__name__}: {error}",
            remedy="Give the directory of a run.",
        ) from error


def builder_of(table: Mapping[str, Any], make: Callable[[Any, bool], LearnerBuilder], where: str) -> LearnerBuilder:
    """The builder that a table describes, by its own methods, so that they check what they are told."""
    refuse_unknown(table, ["directory", "overwrite", *_METHODS], where)
    if "directory" not in table:
        raise ConfigurationError(
            f"{where} must say the directory.", received="none", remedy='Write directory = "runs/a".'
        )
    builder = make(table["directory"], _flag(table.get("overwrite", False), "overwrite"))
    for key, value in table.items():
        if key in _METHODS:
            builder = _METHODS[key](builder, value)
    return builder


def _metric_tables(registered: Sequence[Registered], left_out: list[str]) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    for each in registered:
        try:
            told = {**table_of(each.metric, _METRICS), "plotted": each.plotted}
        except ConfigurationError:
            left_out.append(f".metric_{each.split}({each.metric!r})")
            continue
        if tables and tables[-1] == {**told, "splits": [Split.TRAIN.value]} and each.split is Split.VALID:
            tables[-1]["splits"].append(each.split.value)
        else:
            tables.append({**told, "splits": [each.split.value]})
    return tables


def _with_metrics(builder: LearnerBuilder, tables: Any) -> LearnerBuilder:
    for number, table in enumerate(_listed(tables, "metrics")):
        where = f"metrics[{number}]"
        told = {"type": table} if isinstance(table, str) else dict(_table(table, where))
        splits = _listed(told.pop("splits", _SPLITS), f"{where}.splits")
        plotted = told.pop("plotted", None)
        metric = thing_of(told, _METRICS, where)
        refuse_unknown(splits, [split.value for split in _SPLITS], f"{where}.splits", "name")
        plotted = metric.numeric if plotted is None else _flag(plotted, f"{where}.plotted")
        for split in splits:
            method = f"metric_{split}_numeric" if plotted else f"metric_{split}"
            builder = getattr(builder, method)(metric)
    return builder


def _with_loggers(builder: LearnerBuilder, loggers: Any) -> LearnerBuilder:
    if loggers != []:
        raise ConfigurationError(
            "metric_loggers can only be empty in a table: then nothing is logged.",
            received=repr(loggers),
            remedy="Leave it out for files, and add others in Python.",
        )
    return builder.metric_loggers()


def _without_log(builder: LearnerBuilder, wanted: Any) -> LearnerBuilder:
    return builder if _flag(wanted, "application_logger") else builder.with_application_logger(None)


def _with_arguments(method: str, known: Sequence[str]) -> Callable[[LearnerBuilder, Any], LearnerBuilder]:
    def apply(builder: LearnerBuilder, arguments: Any) -> LearnerBuilder:
        refuse_unknown(_table(arguments, method), known, method)
        if method == "checkpoint" and "which" not in arguments:
            raise ConfigurationError("checkpoint must say which.", received=repr(arguments), remedy='which = "latest".')
        result: LearnerBuilder = getattr(builder, method)(**arguments)
        return result

    return apply


_METHODS: Final[Mapping[str, Callable[[LearnerBuilder, Any], LearnerBuilder]]] = {
    "application_logger": _without_log,
    "checkpoint": _with_arguments("checkpoint", ("which", "directory")),
    "checkpoint_every": _with_arguments("checkpoint_every", ("batches", "minutes")),
    "checkpointing_strategy": lambda builder, table: builder.with_checkpointing_strategy(
        thing_of(table, _STRATEGIES, "checkpointing_strategy")
    ),
    "devices": lambda builder, names: builder.devices(_listed(names, "devices")),
    "early_stopping": lambda builder, table: builder.early_stopping(thing_of(table, _RULES, "early_stopping")),
    "engine": _with_arguments("engine", ("capture",)),
    "file_checkpointer": lambda builder, table: builder.with_file_checkpointer(
        thing_of(table, _RECORDERS, "file_checkpointer")
    ),
    "grads_accumulation": lambda builder, batches: builder.grads_accumulation(batches),
    "metric_loggers": _with_loggers,
    "metrics": _with_metrics,
    "nan_policy": lambda builder, policy: builder.nan_policy(policy),
    "num_epochs": lambda builder, epochs: builder.num_epochs(epochs),
    "restore_best": _with_arguments("restore_best", ("metric", "split", "direction")),
    "summary": lambda builder, wanted: builder.summary() if _flag(wanted, "summary") else builder,
}


def _parameters(thing: Any) -> dict[str, Any]:
    told = {each.name: getattr(thing, each.name) for each in fields(thing)}
    return {
        name: value.value if isinstance(value, Split) else value for name, value in told.items() if value is not None
    }


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{where} is true or false.", received=repr(value), remedy="Write it without quotes.")
    return value


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a table.", received=repr(value), remedy="Compare with .to_toml().")
    return value


def _listed(value: Any, where: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"{where} must be a list.", received=repr(value), remedy="Put it into [ ].")
    return value
