"""Points of trackers, worked out by hand; and that those of a resumed run are those of one that was not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.events import START, Attached, Event, Position, Reading, Split, SplitEnded, Started, Stepped
from multilearn.loggers import FileMetricLogger
from multilearn.loggers.points import Point, Points, covers, recorded
from multilearn.loggers.timeline import Timeline
from multilearn.storage.layout import RunDirectory


def step(epoch: int, batch: int, update: int, **readings: Reading) -> Stepped:
    return Stepped(Split.TRAIN, epoch, batch, update, 0.1, readings)


def folded(points: Points, *events: Event) -> list[Point]:
    return [point for event in events for point in points.of(event)]


def test_a_window_is_a_mean_over_items_and_ends_with_its_epoch() -> None:
    found = folded(
        Points(2),
        step(1, 1, 1, Loss=Reading(4.0, 8)),
        step(1, 2, 2, Loss=Reading(1.0, 4)),
        step(1, 3, 3, Loss=Reading(5.0, 2)),
        SplitEnded(Split.TRAIN, 1, {"Loss": Reading(3.0)}),
        SplitEnded(Split.VALID, 1, {"Loss": Reading(2.5)}),
        step(2, 1, 4, Loss=Reading(7.0, 1)),
        step(2, 2, 5, Loss=Reading(9.0, 1)),
    )
    assert found == [
        Point(Split.TRAIN, 1, 2, {"Loss": 3.0}, False),  # (4 * 8 + 1 * 4) / 12
        Point(Split.TRAIN, 1, 3, {"Loss": 5.0}, False),
        Point(Split.TRAIN, 1, 3, {"Loss": 3.0}, True),
        Point(Split.VALID, 1, 3, {"Loss": 2.5}, True),
        Point(Split.TRAIN, 2, 5, {"Loss": 8.0}, False),
    ]


def test_a_window_counts_updates_and_not_batches() -> None:
    batches = [step(1, batch, batch // 3, Loss=Reading(float(batch), 1)) for batch in range(1, 8)]
    # what is left of the epoch is an update of its own, after the last batch
    found = folded(Points(2, 3), *batches, SplitEnded(Split.TRAIN, 1, {}, 3), step(2, 1, 3, Loss=Reading(9.0, 1)))
    assert [(point.update, point.values["Loss"]) for point in found] == [(2, 3.5), (3, 7.0)]


def test_what_has_no_count_is_averaged_over_batches_texts_are_left_out_and_nan_stays() -> None:
    found = folded(
        Points(2),
        step(1, 1, 1, Speed=Reading(10.0), Matrix=Reading("{}"), Loss=Reading(1.0, 2), Memory=Reading("unavailable")),
        step(1, 2, 2, Speed=Reading(30.0), Matrix=Reading("{}"), Loss=Reading(math.nan, 2), Memory=Reading(6.0)),
    )
    ((values,),) = [(point.values,) for point in found]
    assert values.keys() == {"Speed", "Loss", "Memory"}
    assert (values["Speed"], values["Memory"]) == (20.0, 6.0)
    assert math.isnan(values["Loss"])


def test_batches_in_which_nothing_counts_have_no_weight() -> None:
    readings = [Reading(math.nan, 0), Reading(3.0, 2), Reading(math.nan, 0), Reading(math.nan, 0)]
    found = folded(Points(2), *(step(1, number, number, Loss=each) for number, each in enumerate(readings, start=1)))
    assert [point.values for point in found] == [{"Loss": 3.0}]


def test_a_window_without_its_last_batch_is_no_point() -> None:
    assert folded(Points(3), step(1, 1, 1, Loss=Reading(1.0, 1)), step(1, 2, 2, Loss=Reading(1.0, 1))) == []


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    every=st.integers(1, 5),
    accumulation=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_files_up_to_a_place_and_events_from_there_are_the_points_of_the_whole_run(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    every: int,
    accumulation: int,
    seed: int,
    data: st.DataObject,
) -> None:
    directory = RunDirectory(tmp_path_factory.mktemp("run"))
    run = list(_run(lengths, accumulation, np.random.default_rng(seed)))
    loggers = FileMetricLogger(), Timeline(directory)
    for logger in loggers:
        for event in (Started(directory.path, len(lengths), START, {}, {}, {}), *run):
            logger.log(event)
        logger.close()
    epoch = data.draw(st.integers(1, len(lengths)))
    batch = data.draw(st.integers(1, lengths[epoch - 1]))
    position = Position(epoch, batch) if data.draw(st.booleans()) else Position(epoch)
    cut = next(
        number
        for number, event in enumerate(run, start=1)
        if (isinstance(event, SplitEnded) and event.split is Split.VALID and Position(event.epoch) == position)
        or (isinstance(event, Stepped) and Position(event.epoch, event.batch) == position)
    )
    done = max(event.update for event in run[:cut] if isinstance(event, Stepped | SplitEnded))
    whole = folded(Points(every, accumulation), *run)
    resumed = folded(Points(every, accumulation), *recorded(directory, position, done, accumulation), *run[cut:])
    assert resumed == whole
    assert covers(directory, position)


def test_a_run_whose_accumulation_was_changed_has_the_updates_of_its_timeline(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    logger, timeline = FileMetricLogger(), Timeline(directory)
    for event in (Started(tmp_path, 1, START, {}, {}, {}), *_run([6], 2, np.random.default_rng(1))):
        logger.log(event)
        timeline.log(event)
    logger.close()
    timeline.close()
    found = [event.update for event in recorded(directory, Position(1), 3, 5) if isinstance(event, Stepped)]
    assert found == [0, 1, 1, 2, 2, 3]


def test_a_run_that_is_measured_on_validation_only_has_the_updates_of_its_timeline(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    logger, timeline = FileMetricLogger(), Timeline(directory)
    for event in (Started(tmp_path, 1, START, {}, {}, {}), *_run([4, 4], 1, np.random.default_rng(1))):
        timeline.log(event)
        if getattr(event, "split", Split.VALID) is Split.VALID:
            logger.log(event)
    logger.close()
    timeline.close()
    found = folded(Points(50), *recorded(directory, Position(2), 8, 1))
    assert [(point.split, point.epoch, point.update) for point in found] == [(Split.VALID, 1, 4), (Split.VALID, 2, 8)]
    assert covers(directory, Position(2))


def test_what_was_attached_to_finished_epochs_is_recorded(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    logger = FileMetricLogger()
    for event in (Started(tmp_path, 2, START, {}, {}, {}), *_run([1, 1], 1, np.random.default_rng(1))):
        logger.log(event)
    logger.close()
    for epoch, name, ending, content in [(1, "a b", ".txt", b"text"), (2, "c", ".png", b"\x89PNG")]:
        path = directory.attached(epoch, name, ending)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    found = [event for event in recorded(directory, Position(1), 1, 1) if isinstance(event, Attached)]
    assert found == [Attached(1, "a b", "text")]


def test_a_directory_without_metric_files_covers_nothing(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert covers(directory, START)
    assert not covers(directory, Position(1))
    assert list(recorded(directory, Position(1), 1, 1)) == []


def _run(lengths: list[int], accumulation: int, draw: np.random.Generator) -> list[Event]:
    events: list[Event] = []
    update = 0
    for epoch, length in enumerate(lengths, start=1):
        for batch in range(1, length + 1):
            update += batch % accumulation == 0
            events.append(step(epoch, batch, update, Loss=Reading(draw.normal(), int(draw.integers(1, 9)))))
        update += length % accumulation != 0
        for split in (Split.TRAIN, Split.VALID):
            events.append(SplitEnded(split, epoch, {"Loss": Reading(draw.normal())}, update))
    return events
