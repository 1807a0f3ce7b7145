"""What a real run says: facts that nobody can change, made of host values only."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn import events
from multilearn.events import Finished, MetricInfo, Position, Reading, Started
from multilearn.history import Series
from multilearn.metrics import Entry

SCALARS = (bool, int, float, str, type(None), Path, events.Split)


class Text:
    """A metric whose values are text."""

    name = "Text"
    unit = ""
    numeric = False

    def measure(self, ops: Any, output: Any) -> Mapping[str, Any]:
        return {"loss": ops.float32(output.loss)}

    def merge(self, state: Any, measured: Any) -> Any:
        return {"loss": float(measured["loss"])}

    def entry(self, state: Any) -> Entry:
        return Entry(f"about {state['loss']:.1f}")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Everything a run says that is stopped, goes on, fails, is finished already, and is evaluated."""
    directory = tmp_path_factory.mktemp("events") / "run"
    everything: list[Any] = []

    class Screen(ml.renderers.SilentRenderer):
        def render(self, event: Any) -> None:
            everything.append(event)

    described = toy.builder(directory).metrics(Text()).renderer(Screen()).checkpoint("latest")
    described = described.on_epoch(lambda report: report.log_text("note", "a text"))
    toy.stopped(described, 2, 2)
    with pytest.raises(OSError, match="went away"):
        toy.fit(described, toy.failing(3, 0, OSError("the data went away")))
    toy.fit(described)
    toy.fit(described)
    ml.Evaluator(directory, [Text()], renderer=Screen()).evaluate(toy.task(), toy.valid_loader(), checkpoint=3)
    return everything


def test_the_run_of_these_tests_says_everything_there_is_to_say(said: list[Any]) -> None:
    assert {type(event) for event in said} == set(typing.get_args(events.Event))
    ends = [event for event in said if isinstance(event, Finished)]
    assert [(str(end.position), end.reason, end.error is None) for end in ends] == [
        ("2.3", "enough", True),
        ("2", None, False),
        ("3", None, True),
        ("3", None, True),
        ("0", None, True),
    ]
    assert any(event.history for event in said if isinstance(event, Started))


def inside(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value that `value` is made of, itself included."""
    yield path, value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from inside(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from inside(key, f"a key of {path}")
            yield from inside(item, f"{path}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from inside(item, f"{path}[{index}]")


def test_events_hold_host_values_only(said: list[Any]) -> None:
    known = (*typing.get_args(events.Event), MetricInfo, Reading, Position, Series)
    for event in said:
        for path, value in inside(event, type(event).__name__):
            assert type(value) in (*SCALARS, *known, tuple, MappingProxyType) or isinstance(value, Path), path


def test_nothing_in_an_event_can_be_changed(said: list[Any]) -> None:
    for event in said:
        for path, value in inside(event, type(event).__name__):
            if dataclasses.is_dataclass(value):
                assert not hasattr(value, "__dict__"), path
                for field in dataclasses.fields(value):
                    with pytest.raises(dataclasses.FrozenInstanceError):
                        setattr(value, field.name, None)
            elif isinstance(value, Mapping):
                with pytest.raises(TypeError):
                    value["new"] = 1  # type: ignore[index]
                for key in value:
                    with pytest.raises(TypeError):
                        del value[key]  # type: ignore[attr-defined]
            else:
                assert not isinstance(value, (list, set, bytearray)), path


def test_what_was_said_does_not_change_afterwards(said: list[Any]) -> None:
    """An event that shows a live view would tell a listener that keeps it another story later."""
    first = said[0]
    assert isinstance(first, Started)
    assert first.position == Position(0)
    assert not any(first.history.values())
