"""The settings of a builder as data: the table of its TOML file, which is also in experiment.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from multilearn import checkpoint, early_stopping
from multilearn import metrics as measures
from multilearn.builder.tables import role_of, table_of
from multilearn.checkpoint import DEFAULT
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.learner.settings import Registered, Settings
from multilearn.plain import as_number
from multilearn.run.log import file_log

__all__ = ["METRICS", "RECORDERS", "RULES", "STRATEGIES", "declared", "to_toml"]

METRICS = role_of(measures, "name", "merge", "entry")
RECORDERS = role_of(checkpoint, "read", "write")
STRATEGIES = role_of(checkpoint, "keep")
RULES = role_of(early_stopping, "reason")


def declared(settings: Settings) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The table, and in words what is in the builder and is not data: a metric or a renderer of the user's."""
    table: dict[str, Any] = {"directory": settings.directory.written, "overwrite": settings.overwrite}
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
    write("engine", _engine(settings))
    write("file_checkpointer", settings.recorder, lambda recorder: table_of(recorder, RECORDERS))
    if settings.strategy is not DEFAULT:
        write("checkpointing_strategy", settings.strategy, lambda strategy: table_of(strategy, STRATEGIES))
    write("early_stopping", settings.early_stopping, lambda rule: table_of(rule, RULES))
    if settings.resume is not None:
        source = settings.resume.written or settings.resume.directory
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


def _engine(settings: Settings) -> dict[str, Any]:
    chosen = {"capture": settings.capture, "passes": settings.passes}
    return chosen if settings.compile is None else {**chosen, "compile": settings.compile}


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
    text = tomli_w.dumps(table)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            "TOML is written in UTF-8.",
            received=f"{text[error.start : error.end]!a} in {settings.directory.written!a} or another name",
            remedy="Use a path whose name is UTF-8.",
        ) from error
    return text


def _metric_tables(registered: Sequence[Registered], left_out: list[str]) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    for each in registered:
        try:
            entry = {**table_of(each.metric, METRICS), "plotted": each.plotted}
        except ConfigurationError:
            left_out.append(f".metric_{each.split}({each.metric!r})")
            continue
        if tables and tables[-1] == {**entry, "splits": [Split.TRAIN.value]} and each.split is Split.VALID:
            tables[-1]["splits"].append(each.split.value)
        else:
            tables.append({**entry, "splits": [each.split.value]})
    return tables


def _parameters(thing: Any) -> dict[str, Any]:
    values = {field.name: getattr(thing, field.name) for field in fields(thing)}
    return {
        name: value.value if isinstance(value, Split) else as_number(value)
        for name, value in values.items()
        if value is not None
    }
