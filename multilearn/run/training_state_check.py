"""Whether the record `scheduler-N` can be what this version wrote: looked at before anything is put back.

Its file may be intact and its content all the same be that of a mistaken hand: numpy, for one, takes a position in its
stream that lies outside of it, and reads whatever is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from multilearn.errors import RecordError
from multilearn.events import Position, Split
from multilearn.records.journal import is_extent
from multilearn.records.tensors import HostTensor

__all__ = ["check_schedule"]

_LARGEST = 1 << 63
_WORDS = {"python": 625, "numpy": 624}
"""How many words of 32 bits the state of each stream has."""

_Check = Callable[[Any], bool]


def check_schedule(record: Mapping[str, Any], position: Position) -> None:
    """Raise `RecordError`, naming the place, for a record that no run at `position` has written."""
    try:
        _of_progress(record["progress"])
        _need("seed", record["seed"], _count)
        _need("scheduler/state", record["scheduler"]["state"], lambda state: isinstance(state, Mapping))
        _need("scheduler/horizon", record["scheduler"]["horizon"], _optional(_count))
        _of_metrics(record["metrics"], position)
        _of_streams("streams", record["streams"])
        if record.get("drawn_before") is not None:
            _of_streams("drawn_before", record["drawn_before"])
        _need("random", record["random"], lambda random: isinstance(random, Mapping))
    except KeyError as error:
        raise _refused(f"nothing called {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise _refused(str(error)) from error


def _of_progress(found: Mapping[str, Any]) -> None:
    _need("progress/update", found["update"], _count)
    _need("progress/accumulation", found["accumulation"], lambda value: _count(value) and value > 0)
    _need("progress/batches", found["batches"], _optional(_count))
    _need("progress/skipped", found.get("skipped", 0), _count)
    _need("progress/trained", found.get("trained", False), lambda value: isinstance(value, bool))
    _need("progress/seconds", found.get("seconds", 0.0), lambda value: _number(value) and 0 <= value < math.inf)


def _of_metrics(found: Mapping[str, Any], position: Position) -> None:
    # of the journal it is the checksum that says whether it is as it was written
    for split, metrics in {} if is_extent(found["history"]) else found["history"].items():
        Split(split)
        for name, pairs in metrics.items():
            for epoch, value in pairs:
                _need(f"metrics/history/{split}/{name}, epoch", epoch, lambda each: _is_epoch(each, position))
                _need(f"metrics/history/{split}/{name}", value, _number)
    for split, texts in found.get("texts", {}).items():
        Split(split)
        for name, text in texts.items():
            _need(f"metrics/texts/{split}/{name}", text, lambda value: isinstance(value, str))
    for split, states in found["states"].items():
        Split(split)
        for name, state in states.items():
            _need(f"metrics/states/{split}/{name}", state, lambda value: isinstance(value, Mapping))


def _of_streams(where: str, found: Mapping[str, Any]) -> None:
    python, numpy = found["python"], found["numpy"]
    for name, stream in (("python", python), ("numpy", numpy)):
        _need(f"{where}/{name}/state", stream["state"], partial(_are_words, _WORDS[name]))
    _need(f"{where}/python/version", python["version"], lambda version: _count(version) and version == 3)
    _need(f"{where}/python, its place", python["state"][-1], _is_place)
    _need(f"{where}/python/gauss", python["gauss"], _optional(_number))
    _need(f"{where}/numpy/name", numpy["name"], lambda name: isinstance(name, str) and name == "MT19937")
    _need(f"{where}/numpy/position", numpy["position"], _is_place)
    _need(f"{where}/numpy/has_gauss", numpy["has_gauss"], lambda value: _count(value) and value <= 1)
    _need(f"{where}/numpy/gauss", numpy["gauss"], _number)
    _need(f"{where}/torch", found.get("torch"), _optional(_is_bytes))


def _need(where: str, value: Any, holds: _Check) -> None:
    if not holds(value):
        text = repr(value) if isinstance(value, (int, float, str, type(None))) else type(value).__name__
        raise _refused(f"{text[:100]} as {where[:200]}")


def _refused(received: str) -> RecordError:
    return RecordError(
        "The record of the schedule must be as this version writes it.",
        received=received[:400],
        remedy="Resume from another checkpoint.",
    )


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_epoch(value: Any, position: Position) -> bool:
    return _count(value) and 1 <= value <= position.epoch


def _number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < _LARGEST)


def _optional(holds: _Check) -> _Check:
    return lambda value: value is None or holds(value)


def _are_words(words: int, state: Any) -> bool:
    return isinstance(state, list) and len(state) == words and all(_count(each) and each < 1 << 32 for each in state)


def _is_place(value: Any) -> bool:
    """In a state of 624 words, all of which may be used up."""
    return _count(value) and value <= 624


def _is_bytes(value: Any) -> bool:
    return isinstance(value, HostTensor) and value.dtype == "U8"
