"""How far a run is, and what else decides how it continues: the record `scheduler-N`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from multilearn.events import START, Position
from multilearn.metrics.store import MetricStore
from multilearn.protocols import LRScheduler, Record
from multilearn.records.journal import Journal
from multilearn.records.object_state import as_written, from_record, to_record
from multilearn.seeding import seed as seeds
from multilearn.seeding.streams import GlobalStreams

__all__ = ["Progress", "TrainingPlan", "progress_of", "put_back_on_error", "restore_schedule", "schedule_record"]

_PARTS = frozenset({"metrics", "progress", "random", "scheduler", "seed", "streams"})


@dataclass(frozen=True)
class TrainingPlan:
    """What a resumed run has in common with the one it continues, or should have."""

    seed: int
    accumulation: int
    batches: int | None
    horizon: int | None


@dataclass
class Progress:
    """How far a run is.

    `update`: optimizer updates so far; `seconds`: what training took, over all sessions, None if no rule asks for it;
    `skipped`: batches left out because their loss was not finite; `trained`: whether of the epoch under way only the
    validation is left.
    """

    position: Position = START
    update: int = 0
    seconds: float | None = None
    skipped: int = 0
    trained: bool = False


def schedule_record(
    plan: TrainingPlan,
    progress: Progress,
    scheduler: LRScheduler,
    store: MetricStore,
    random: Mapping[str, Any],
    places: Mapping[str, Record],
    decided: Record | None = None,
) -> Record:
    """Everything that schedules the rest of the run: positions, data order, streams, the extent of the history, metric
    states.

    `places`: where loaders are, by split, if seed, epoch and number of the batch do not say it; `decided`: what the
    engine is given again when the run is resumed.
    """
    # equal runs make equal files: what a clock said is only in those of runs that depend on it
    spent = {} if progress.seconds is None else {"seconds": progress.seconds}
    counted = {"update": progress.update, "accumulation": plan.accumulation, "batches": plan.batches}
    return {
        "scheduler": {"state": to_record(scheduler.state()), "horizon": plan.horizon},
        "progress": {**counted, "skipped": progress.skipped, "trained": progress.trained, **spent},
        "seed": plan.seed,
        "streams": GlobalStreams.now().record(),
        "random": dict(random),
        "metrics": store.state(),
        **places,
        **({} if decided is None else {"engine": decided}),
    }


def restore_schedule(
    record: Record, journal: Journal, plan: TrainingPlan, scheduler: LRScheduler, store: MetricStore
) -> tuple[int, list[str]]:
    """Put scheduler, store (with `journal`) and global streams back. Returns the seed of the run and what differs.

    Raises `RecordError` for a record that lacks something; then nothing but these may have been touched.
    """
    with as_written("The record of the schedule"):
        if missing := _PARTS - record.keys():
            raise KeyError(", ".join(sorted(missing)))
        _require_counts(record)
        scheduler.restore(from_record(record["scheduler"]["state"]))
        store.restore(record["metrics"], journal)
        # version 0.1 made a batch ahead of the one that it trained on: that one is made again, from where they were
        GlobalStreams.of_record(record.get("drawn_before") or record["streams"]).put_back()
        return record["seed"], _differences(record, plan)


def _require_counts(record: Record) -> None:
    """Raise for numbers that a run can neither resume from nor be asked for."""
    found = record["progress"]
    least = {"update": 0, "skipped": 0, "seed": 0, "accumulation": 1}
    counts = {"skipped": 0, **found, "seed": record["seed"]}
    for name, lowest in least.items():
        if type(counts[name]) is not int or not lowest <= counts[name] < 1 << 63:
            raise ValueError(f"{counts[name]!r} as {name}")
    if not isinstance(record["random"], Mapping) or not 0 <= float(found.get("seconds", 0.0)) < math.inf:
        raise ValueError("seconds, or random streams that are no map")


@contextmanager
def put_back_on_error(scheduler: LRScheduler, store: MetricStore) -> Iterator[None]:
    """Whatever is raised while it lasts leaves what `restore_schedule` restores as it was."""
    state, metrics, journal, streams = scheduler.state(), store.state(), store.journal, GlobalStreams.now()
    try:
        yield
    except BaseException:
        scheduler.restore(state)
        store.restore(metrics, journal)
        streams.put_back()
        raise


def progress_of(record: Record, position: Position = START, timed: bool = False) -> Progress:
    """What a record says of the run that is at `position`; `timed`: whether it depends on the time that is spent."""
    found = record["progress"]
    seconds = float(found.get("seconds", 0.0)) if timed else None
    trained = position.batch is not None and bool(found.get("trained", False))
    return Progress(position, found["update"], seconds, found.get("skipped", 0), trained)


def _differences(record: Record, plan: TrainingPlan) -> list[str]:
    found = []
    seed, horizon = record["seed"], record["scheduler"]["horizon"]
    if seed != plan.seed and seeds.origin() != "drawn":
        found.append(f"The run keeps the seed that it was started with, {seed}; {plan.seed} is ignored.")
    if horizon != plan.horizon:
        found.append(
            f"The learning-rate schedule now spans {plan.horizon} updates, and spanned {horizon} before: "
            "the rest will differ from an uninterrupted run. Give the scheduler its updates=... to avoid that."
        )
    accumulation = record["progress"]["accumulation"]
    if accumulation != plan.accumulation:
        found.append(f"An update now takes {plan.accumulation} batches, and took {accumulation} before.")
    return found
