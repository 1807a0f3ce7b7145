"""Events that go to another process and back."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.run_events import events

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
from multilearn.renderers.screen.wire import decode, encode

COUNTS = st.integers(1, 2**40)
TEXTS = st.text(max_size=20)
VALUES = st.floats(allow_nan=False) | TEXTS
SPLITS = st.sampled_from(Split)
POSITIONS = st.builds(Position, COUNTS, st.none() | COUNTS)
READINGS = st.dictionaries(TEXTS, st.builds(Reading, VALUES, st.none() | COUNTS, VALUES), max_size=4)
INFOS = st.lists(
    st.builds(MetricInfo, TEXTS, TEXTS, st.booleans(), st.booleans(), st.sampled_from([None, "lowest", "highest"])),
    max_size=3,
).map(tuple)
HISTORY = st.dictionaries(SPLITS, st.dictionaries(TEXTS, st.dictionaries(COUNTS, st.floats(allow_nan=False))))
EVENTS = st.one_of(
    st.builds(
        Started,
        st.sampled_from([Path("runs/a"), Path("caf\udce9")]),
        COUNTS,
        POSITIONS,
        st.dictionaries(SPLITS, st.none() | COUNTS),
        st.dictionaries(SPLITS, INFOS),
        HISTORY,
        COUNTS,
    ),
    st.builds(Stepped, SPLITS, COUNTS, COUNTS, COUNTS, st.none() | st.floats(0, 1), READINGS, st.none() | COUNTS),
    st.builds(SplitEnded, SPLITS, COUNTS, READINGS),
    st.builds(EpochEnded, COUNTS),
    st.builds(Attached, COUNTS, TEXTS, TEXTS),
    st.builds(Saved, POSITIONS),
    st.builds(Finished, POSITIONS, st.none() | TEXTS, st.none() | TEXTS, st.none() | COUNTS),
)


def back(sent: list[Event], at_once: int = 1 << 16) -> list[Event]:
    data = encode(sent)
    parts = iter([*(data[start : start + at_once] for start in range(0, len(data), at_once)), b""])
    return list(decode(lambda size: next(parts)))


@given(st.lists(EVENTS, max_size=5), st.integers(1, 200))
def test_events_come_back_as_they_were(sent: list[Event], at_once: int) -> None:
    received = back(sent, at_once)
    assert received == sent
    for one, other in zip(received, sent, strict=True):
        assert [type(getattr(one, each.name)) for each in fields(one)] == [
            type(getattr(other, each.name)) for each in fields(other)
        ]


def test_every_event_of_a_run_goes_there() -> None:
    assert back(list(events())) == list(events())


def test_what_a_loop_sends_is_read_only_and_of_numpy_and_not_always_finite() -> None:
    readings = {"Loss": Reading(np.float32(0.5), np.int64(3), math.nan)}  # type: ignore[arg-type]
    received = back([Stepped(Split.TRAIN, 1, 2, 3, None, MappingProxyType(readings))])
    assert repr(received) == repr([Stepped(Split.TRAIN, 1, 2, 3, None, {"Loss": Reading(0.5, 3, math.nan)})])


def test_the_bytes_of_an_image_stay_in_its_file() -> None:
    assert back([Attached(1, "sample", image=b"\x89PNG" * 9999)]) == [Attached(1, "sample", image=b"")]
