"""Whether runs could have been the same experiment, and the first thing in which they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from multilearn.commands.compare import facts
from multilearn.commands.compare.facts import Facts
from multilearn.commands.compare.values import Precondition, relative
from multilearn.errors import DirectoryError
from multilearn.events import Split
from multilearn.loggers.metric_file import MetricFile, read_metric_file
from multilearn.run.on_disk import RunOnDisk

__all__ = ["first_difference", "preconditions"]

_KINDS = {Split.TRAIN: "training", Split.VALID: "validation"}


@dataclass(frozen=True)
class _Sought:
    """`cause`: equal experiments have it in common; else it is a circumstance, which may change roundings. `needed`:
    whether equal runs need it: they have the same curve on any number of devices."""

    name: str
    of: Callable[[RunOnDisk], Facts]
    said: Callable[[Facts], str]
    cause: bool = False
    needed: bool = True

    def found(self, runs: Sequence[RunOnDisk]) -> list[Facts]:
        return facts.settled([self.of(run) for run in runs])


_SOUGHT = (
    _Sought("seed", lambda run: {} if run.seed is None else {"": str(run.seed)}, facts.listed, cause=True),
    _Sought("configuration", facts.configuration, facts.short_hash, cause=True),
    _Sought("data", facts.data, facts.short_hash, cause=True),
    _Sought("weights at start", facts.weights, facts.last, cause=True),
    _Sought("versions", lambda run: facts.over_sessions(run, "versions"), facts.listed),
    _Sought(
        "threads", lambda run: {**facts.over_sessions(run, "threads"), **facts.numerics(run, "thread")}, facts.listed
    ),
    _Sought("TF32", lambda run: facts.numerics(run, "tf32"), facts.listed),
    _Sought("oneDNN", lambda run: facts.numerics(run, "onednn"), facts.listed),
    _Sought("determinism", lambda run: facts.numerics(run, "determin"), facts.listed),
    _Sought("machine", facts.machine, facts.listed),
    _Sought("devices", facts.devices, facts.listed, needed=False),
)


def preconditions(runs: Sequence[RunOnDisk]) -> tuple[Precondition, ...]:
    """What the runs have in common and what not, in the order in which one thing is the cause of the next."""
    return tuple(_judged(sought, sought.found(runs)) for sought in _SOUGHT)


def first_difference(runs: Sequence[RunOnDisk], tolerance: float) -> str | None:
    """The first thing that differs, as a sentence; None if nothing does that was recorded.

    In the order of causes: seed, configuration, data, weights at start; then, as circumstances, what the runs ran on;
    then the first batch whose loss is further apart than `tolerance` (relative), which is said besides a circumstance.
    Raises `RecordError` for a metric file that is not of the format, `DirectoryError` for one that cannot be read.
    """
    differing = ((sought.cause, said) for sought in _SOUGHT if (said := _difference(sought, sought.found(runs))))
    cause, said = next(differing, (False, None))
    reasons = list(filter(None, [said, None if cause else _first_batch_apart(runs, tolerance)]))
    return f"{'; '.join(reasons)}." if reasons else None


def _judged(sought: _Sought, found: Sequence[Facts]) -> Precondition:
    values = tuple(sought.said(each) if each else facts.UNKNOWN for each in found)
    if _first_key(found) is not None:
        return Precondition(sought.name, False, values, sought.needed)
    # what each framework has its own settings for is compared between the runs on it; of a cause all must be known
    known = not sought.cause or all(each.keys() == found[0].keys() for each in found)
    return Precondition(sought.name, True if known and all(found) else None, values, sought.needed)


def _difference(sought: _Sought, found: Sequence[Facts]) -> str | None:
    key = _first_key(found)
    if key is None:
        return None
    verb = "differ" if sought.name.endswith(("s", "s at start")) else "differs"
    values = " / ".join(facts.apart([each.get(key, facts.UNKNOWN) for each in found]))
    subject = sought.name if sought.name in ("TF32", "oneDNN") else f"The {sought.name}"
    return f"{subject} {verb}" + (f" in {key}: {values}" if key else f": {values}")


def _first_key(found: Sequence[Mapping[str, str]]) -> str | None:
    """The first key of which two that have it say different things."""
    for key in dict.fromkeys(chain.from_iterable(found)):
        if len({each[key] for each in found if key in each}) > 1:
            return key
    return None


def _first_batch_apart(runs: Sequence[RunOnDisk], tolerance: float) -> str | None:
    """The first batch whose loss is further apart than `tolerance` (relative), in words without a full stop.

    Epoch by epoch, of each the training batches before those of validation; None if no batch is, as far as all runs
    have come and have logged the loss.
    """
    for split, epoch in _logged_by_all(runs):
        files = [_losses(run, split, epoch) for run in runs]
        for number, values in enumerate(zip(*(file.values for file in files), strict=False), start=1):
            if any(relative(a, b) > tolerance for a, b in combinations(values, 2)):
                losses = " / ".join(str(value) for value in values)
                return f"The {_KINDS[split]} loss first differs in batch {number} of epoch {epoch}: {losses}"
        counts = [len(file.values) for file in files]
        if len(set(counts)) > 1 and all(file.final is not None for file in files):
            return (
                f"The number of {_KINDS[split]} batches first differs in epoch {epoch}: {' / '.join(map(str, counts))}"
            )
    return None


def _logged_by_all(runs: Sequence[RunOnDisk]) -> list[tuple[Split, int]]:
    found = [
        {
            (epoch, split is Split.VALID, split)
            for split in _KINDS
            for epoch in run.directory.epochs(split)
            if run.directory.metric(split, epoch, "Loss").is_file()
        }
        for run in runs
    ]
    return [(split, epoch) for epoch, _, split in sorted(set.intersection(*found))]


def _losses(run: RunOnDisk, split: Split, epoch: int) -> MetricFile:
    path = run.directory.metric(split, epoch, "Loss")
    try:
        return read_metric_file(path, run.path)
    except (OSError, UnicodeDecodeError) as error:
        raise DirectoryError.unreadable(path, error) from error
