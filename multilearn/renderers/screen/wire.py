"""Events between two processes: msgpack, one message for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import msgpack

from multilearn.events import (
    Attached,
    EpochEnded,
    Event,
    Finished,
    MetricInfo,
    Position,
    Reading,
    Saved,
    Split,
    SplitEnded,
    Started,
    Stepped,
)

__all__ = ["decode", "encode"]

_LOSSLESS = "surrogatepass"  # a path that is not UTF-8 has halves of surrogates


def encode(events: Iterable[Event]) -> bytes:
    """What `decode` makes the same events of, but for the bytes of images: their file is in the run's directory."""
    return b"".join([_pack(_row(event)) for event in events])


def decode(read: Callable[[int], bytes]) -> Iterator[Event]:
    """The events of a stream, as they come, until `read` gives nothing."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors=_LOSSLESS, max_buffer_size=0)
    while data := read(1 << 16):
        unpacker.feed(data)
        for kind, values in unpacker:
            yield _BACK[kind](*values)


def _row(event: Event) -> tuple[str, Any]:
    if isinstance(event, Stepped):  # thousands a second: the fields one by one
        readings = event.readings if type(event.readings) is dict else dict(event.readings)
        values: Any = (event.split, event.epoch, event.batch, event.update, event.learning_rate, readings, event.items)
        return "Stepped", values
    if isinstance(event, Attached) and event.image is not None:
        event = Attached(event.epoch, event.name, event.text, b"")
    return type(event).__name__, [getattr(event, each.name) for each in fields(event)]


def _plain(value: Any) -> Any:
    """Of what msgpack does not know."""
    if is_dataclass(value) and not isinstance(value, type):
        return astuple(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value) if isinstance(value, Path) else value.item()  # a number of numpy


_pack = msgpack.Packer(default=_plain, unicode_errors=_LOSSLESS, autoreset=True).pack


def _readings(rows: Mapping[str, Any]) -> dict[str, Reading]:
    return {name: Reading(*row) for name, row in rows.items()}


def _started(
    directory: str, epochs: int, position: Any, batches: Any, metrics: Any, history: Any, *rest: int
) -> Started:
    return Started(
        Path(directory),
        epochs,
        Position(*position),
        {Split(split): count for split, count in batches.items()},
        {Split(split): tuple(MetricInfo(*row) for row in rows) for split, rows in metrics.items()},
        {Split(split): values for split, values in history.items()},
        *rest,
    )


_BACK: Final[Mapping[str, Callable[..., Event]]] = {
    "Started": _started,
    "Stepped": lambda split, epoch, batch, update, rate, rows, items: Stepped(
        Split(split), epoch, batch, update, rate, _readings(rows), items
    ),
    "SplitEnded": lambda split, epoch, rows, *rest: SplitEnded(Split(split), epoch, _readings(rows), *rest),
    "EpochEnded": EpochEnded,
    "Attached": Attached,
    "Saved": lambda position: Saved(Position(*position)),
    "Finished": lambda position, *rest: Finished(Position(*position), *rest),
}
