"""Batches of whatever can be iterated over: of known or unknown length, with or without a state of its own.

Such a state is saved as text: plain data is restored as it was, anything else is refused.
"""

from __future__ import annotations

import base64
import copy
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multilearn.data.aligned import in_new_memory
from multilearn.data.arrays import fresh
from multilearn.errors import ConfigurationError, DataError, RecordError
from multilearn.protocols import Batch, Record

__all__ = ["Streamed", "from_text", "to_text"]

_END = object()
_STATES = (("state_dict", "load_state_dict"), ("get_state", "set_state"))


@dataclass
class _Pass:
    """One way through: what was looked at and not yet handed out, and the states before and after the last batch."""

    epoch: int
    iterator: Iterator[Any]
    number: int = 0
    looked_at: list[Any] = field(default_factory=list)
    states: dict[int, Any] = field(default_factory=dict)
    ended: bool = False


class Streamed:
    """`source` is what may have a state (`state_dict`, or `get_state` of its iterators) and a `set_epoch`;
    `opened(epoch)` is a way through it, and None where there is no more, for which `again` is False. `owned`: it is
    closed in the end. `repeatable`: another process gets the same batches. `shuffles`: whether it is known to.

    Taking only the first batch of an epoch is a look at it: the next iteration over this epoch yields it too.
    """

    def __init__(
        self,
        source: Any,
        opened: Callable[[int], Iterator[Any] | None],
        *,
        repeatable: bool = False,
        again: bool = True,
        owned: bool = True,
        shuffles: bool = False,
    ) -> None:
        self._source = source
        self._opened = opened
        self._repeatable = repeatable
        self.again = again
        self._owned = owned
        self.shuffles = shuffles or getattr(source, "shuffle", None) is True
        self._now: _Pass | None = None
        self._kept: _Pass | None = None
        self._saved: Record | None = None

    def __len__(self) -> int:
        """The batches of an epoch. Raises `TypeError` where the source does not know."""
        return len(self._source)

    @property
    def resumes_inside_epoch(self) -> bool:
        """Whether it can go on after some batches of an epoch; known once it has been looked at."""
        return self._repeatable or self._holder() is not None

    @in_new_memory
    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `start` on."""
        if start and self._saved is not None and self._saved["ended"]:
            return
        way = self._now = self._begun(epoch, start)
        first = way.number
        try:
            while (batch := self._next(way)) is not _END:
                if way.number > start:
                    copied = fresh(batch)
                    # not the batch itself: until it is asked for again, another loader may use the same memory
                    way.looked_at = [copied] if way.number == first + 1 else []
                    yield copied
                    way.looked_at = []
        finally:
            if way.looked_at:
                way.number, self._kept = first, way
            else:
                self._close(way)

    def state(self, batch: int) -> Record:
        """The place before batch number `batch`: the next one, or the one before it if that was only looked at."""
        if self._saved is not None:
            return self._saved
        way = self._now
        assert way is not None
        holder, ended = self._holder(), way.ended and batch == way.number
        # where iterators have the state, an epoch begins with a new one; what only repeats itself has none
        needed = holder is self._source and not hasattr(self._source, "set_epoch") if ended else holder is not None
        return {"batch": batch, "ended": ended, "state": to_text(way.states[batch]) if needed else None}

    def restore(self, state: Record) -> None:
        if state["state"] is not None:
            from_text(state["state"])
        self._saved = {"batch": int(state["batch"]), "ended": bool(state["ended"]), "state": state["state"]}

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """At its end the source is where it was, if it has a state."""
        accessors = _accessors(self._source)
        before = None if accessors is None else copy.deepcopy(accessors[0]())
        try:
            yield
        finally:
            if accessors is not None:
                accessors[1](before)

    def _begun(self, epoch: int, start: int) -> _Pass:
        saved, self._saved = self._saved, None
        kept, self._kept = self._kept, None
        restored = saved["state"] if saved is not None else None
        if kept is not None and restored is None and (kept.epoch == epoch or not self.again):
            return kept
        if kept is not None:
            self._close(kept)
        if hasattr(self._source, "set_epoch"):
            self._source.set_epoch(epoch)
        of_source = _accessors(self._source)
        if restored is not None and of_source is not None:
            of_source[1](from_text(restored))
        iterator = self._opened(epoch)
        if iterator is None:
            raise DataError(
                "A generator is used up after one epoch.",
                received=f"one, for epoch {epoch}",
                remedy="Give fit the function that makes it, without calling it.",
            )
        if restored is not None and of_source is None and (of_iterator := _accessors(iterator)) is not None:
            of_iterator[1](from_text(restored))
        way = _Pass(epoch, iterator, start if restored is not None else 0)
        self._now = way
        self._note(way)
        return way

    def _next(self, way: _Pass) -> Any:
        """The next batch; `_END` at the end."""
        if way.looked_at:
            batch = way.looked_at.pop()
        else:
            batch = next(way.iterator, _END)
            way.ended = batch is _END
        way.number += not way.ended
        self._note(way)
        return batch

    def _close(self, way: _Pass) -> None:
        if self._owned and hasattr(way.iterator, "close"):
            way.iterator.close()

    def _note(self, way: _Pass) -> None:
        if (accessors := _accessors(self._holder())) is not None:
            before = way.states.get(way.number - 1)
            way.states = {way.number - 1: before, way.number: copy.deepcopy(accessors[0]())}

    def _holder(self) -> Any:
        """Who has the state: the source, or the iterator under way."""
        if _accessors(self._source) is not None:
            return self._source
        now = None if self._now is None else self._now.iterator
        return now if _accessors(now) is not None else None


def _accessors(holder: Any) -> tuple[Callable[[], Any], Callable[[Any], None]] | None:
    """What takes the state of a source or an iterator, and what puts it back; None for one without a state."""
    for get, put in _STATES:
        if hasattr(holder, get) and hasattr(holder, put):
            return getattr(holder, get), getattr(holder, put)
    return None


def to_text(state: Any) -> str:
    """JSON of nested dicts, lists and tuples of numbers, strings, bytes, None and arrays.

    Raises `ConfigurationError` for anything else: nothing is pickled.
    """
    return json.dumps(_plain(state, "state"))


def from_text(text: str) -> Any:
    """What `to_text` was given. Raises `RecordError` for a text that is not from there."""
    try:
        return _restored(json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            "The state of a loader must be as this version writes it.",
            received=f"{type(error).__name__}: {error}",
            remedy="Resume from the end of an epoch.",
        ) from error


def _plain(value: Any, path: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {"dict": [[_plain(key, path), _plain(each, f"{path}[{key!r}]")] for key, each in value.items()]}
    if isinstance(value, (list, tuple)):
        parts = [_plain(each, f"{path}[{place}]") for place, each in enumerate(value)]
        return parts if isinstance(value, list) else {"tuple": parts}
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.dtype != torch.bfloat16:
        return {"torch": _plain(value.detach().cpu().numpy(), path)}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
        array = np.asarray(value)
        return {"array": array.dtype.str, "shape": array.shape, **_plain(array.tobytes(), path)}
    raise ConfigurationError(
        "The state of a loader must be plain data to be saved: numbers, strings, bytes, arrays, lists and dicts.",
        received=f"{type(value).__name__} in {path}",
        remedy="Have its state_dict return such data, or train without a checkpointer.",
    )


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        content = base64.b64decode(value["bytes"])
        return np.frombuffer(content, np.dtype(value["array"])).reshape(value["shape"]).copy()
    if "bytes" in value:
        return base64.b64decode(value["bytes"])
    if "tuple" in value:
        return tuple(_restored(each) for each in value["tuple"])
    if "torch" in value:
        array = _restored(value["torch"])
        torch = sys.modules.get("torch")
        return array if torch is None else torch.from_numpy(array)
    return {_restored(key): _restored(each) for key, each in value["dict"]}
