"""How far a run is, and what else decides how it goes on: the record `scheduler-N`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from multilearn import seed as seeds
from multilearn.errors import RecordError
from multilearn.metrics.store import MetricStore
from multilearn.position import START, Position
from multilearn.protocols import LRScheduler, Record

__all__ = ["Plan", "Progress", "progress_of", "put_back_on_error", "restore_schedule", "schedule_record"]

_PARTS = frozenset({"metrics", "progress", "random", "scheduler", "seed", "streams"})


@dataclass(frozen=True)
class Plan:
    """What a resumed run has in common with the one it goes on from, or should have."""

    seed: int
    accumulation: int
    batches: int | None
    horizon: int | None


@dataclass
class Progress:
    """How far a run is.

    `update`: optimizer updates so far; `seconds`: what training took, over all sessions, None if no rule asks for it;
    `skipped`: batches left out because their loss was not finite.
    """

    position: Position = START
    update: int = 0
    seconds: float | None = None
    skipped: int = 0


def schedule_record(
    plan: Plan,
    progress: Progress,
    scheduler: LRScheduler,
    store: MetricStore,
    random: Mapping[str, Any],
    place: Record | None = None,
) -> Record:
    """Everything that schedules the rest of the run: positions, data order, streams, history, metric states.

    `place`: where the training loader is, if seed, epoch and number of the batch do not say it.
    """
    # equal runs make equal files: what a clock said is only in those of runs that depend on it
    spent = {} if progress.seconds is None else {"seconds": progress.seconds}
    counted = {"update": progress.update, "accumulation": plan.accumulation, "batches": plan.batches}
    return {
        "scheduler": {"state": scheduler.state(), "horizon": plan.horizon},
        "progress": {**counted, "skipped": progress.skipped, **spent},
        "seed": plan.seed,
        "streams": seeds.streams(),
        "random": dict(random),
        "metrics": store.state(),
        **({} if place is None else {"loader": place}),
    }


def restore_schedule(
    record: Record, plan: Plan, inside_epoch: bool, scheduler: LRScheduler, store: MetricStore
) -> tuple[int, list[str]]:
    """Put scheduler, store and global streams back. Returns the seed of the run and what differs, to be said aloud.

    Raises `RecordError` for a record that lacks something; then nothing but these may have been touched.
    """
    try:
        if missing := _PARTS - record.keys():
            raise KeyError(", ".join(sorted(missing)))
        progress_of(record)
        scheduler.restore(record["scheduler"]["state"])
        store.restore(record["metrics"])
        seeds.restore_streams(record["streams"])
        return int(record["seed"]), _differences(record, plan, inside_epoch)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            "The record of the schedule must hold what this version wrote.",
            received=f"{type(error).__name__}: {error}",
            remedy="Go on from another checkpoint.",
        ) from error


@contextmanager
def put_back_on_error(scheduler: LRScheduler, store: MetricStore) -> Iterator[None]:
    """Whatever is raised while it lasts leaves what `restore_schedule` restores as it was."""
    state, metrics, streams = scheduler.state(), store.state(), seeds.streams()
    try:
        yield
    except BaseException:
        scheduler.restore(state)
        store.restore(metrics)
        seeds.restore_streams(streams)
        raise


def progress_of(record: Record, position: Position = START, timed: bool = False) -> Progress:
    """What a record says of the run that is at `position`; `timed`: whether it depends on the time that is spent."""
    found = record["progress"]
    seconds = float(found.get("seconds", 0.0)) if timed else None
    return Progress(position, int(found["update"]), seconds, int(found.get("skipped", 0)))


def _differences(record: Record, plan: Plan, inside_epoch: bool) -> list[str]:
    found = []
    seed, horizon, batches = record["seed"], record["scheduler"]["horizon"], record["progress"]["batches"]
    if seed != plan.seed and seeds.origin() != "drawn":
        found.append(f"The run goes on with its own seed, {seed}, and not with {plan.seed}.")
    if horizon != plan.horizon:
        found.append(
            f"The learning-rate schedule now spans {plan.horizon} updates, and spanned {horizon} before: "
            "the rest will differ from an uninterrupted run. Give the scheduler its updates=... to avoid that."
        )
    accumulation = record["progress"]["accumulation"]
    if accumulation != plan.accumulation:
        found.append(f"An update now takes {plan.accumulation} batches, and took {accumulation} before.")
    if inside_epoch and batches != plan.batches:
        found.append(
            f"An epoch now has {plan.batches} batches, and had {batches} when the checkpoint was made inside one."
        )
    return found
