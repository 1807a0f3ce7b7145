"""Whether runs could have been the same experiment, and the first thing in which they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from multilearn.commands.compare import facts
from multilearn.commands.compare.facts import Facts
from multilearn.commands.compare.first_batch import first_batch_apart
from multilearn.commands.runs import RunOnDisk

__all__ = ["Precondition", "first_difference", "preconditions"]


@dataclass(frozen=True)
class Precondition:
    """One thing that equal experiments have in common.

    `held`: whether all runs have it in common, None if some run did not record it; `values`: what each run recorded of
    it, in short and in the order of the runs, `"not recorded"` where it did not.
    """

    name: str
    held: bool | None
    values: tuple[str, ...]


@dataclass(frozen=True)
class _Sought:
    """`cause`: equal experiments have it in common; else it is a circumstance, which may change roundings."""

    name: str
    of: Callable[[RunOnDisk], Facts]
    said: Callable[[Facts], str]
    cause: bool = False

    def found(self, runs: Sequence[RunOnDisk]) -> list[Facts]:
        return facts.settled([self.of(run) for run in runs])


_SOUGHT = (
    _Sought("seed", facts.seed, facts.listed, cause=True),
    _Sought("configuration", facts.configuration, facts.hashed, cause=True),
    _Sought("data", facts.data, facts.hashed, cause=True),
    _Sought("weights at start", facts.weights, facts.last, cause=True),
    _Sought("versions", facts.versions, facts.listed),
    _Sought("threads", facts.threads, facts.listed),
    _Sought("TF32", facts.tf32, facts.listed),
    _Sought("oneDNN", facts.onednn, facts.listed),
    _Sought("determinism", facts.determinism, facts.listed),
    _Sought("machine", facts.machine, facts.listed),
)


def preconditions(runs: Sequence[RunOnDisk]) -> tuple[Precondition, ...]:
    """What the runs have in common and what not, in the order in which one thing is the cause of the next."""
    return tuple(_judged(sought, sought.found(runs)) for sought in _SOUGHT)


def first_difference(runs: Sequence[RunOnDisk], tolerance: float) -> str | None:
    """The first thing that differs, as a sentence; None where nothing does that was recorded.

    In the order of causes: seed, configuration, data, weights at start; then, as circumstances, what the runs ran on;
    then the first batch whose loss is further apart than `tolerance` (relative), which is said besides a circumstance.
    Raises `RecordError` for a metric file that is not of the format, `DirectoryError` for one that cannot be read.
    """
    for sought in _SOUGHT:
        if sought.cause and (found := _difference(sought, sought.found(runs))):
            return f"{found}."
    others = [_difference(sought, sought.found(runs)) for sought in _SOUGHT if not sought.cause]
    circumstance = next(filter(None, others), None)
    reasons = list(filter(None, [circumstance, first_batch_apart(runs, tolerance)]))
    return f"{'; '.join(reasons)}." if reasons else None


def _judged(sought: _Sought, found: Sequence[Facts]) -> Precondition:
    values = tuple(sought.said(each) if each else facts.UNKNOWN for each in found)
    if _first_key(found) is not None:
        return Precondition(sought.name, False, values)
    # what each framework has its own settings for is compared between the runs on it; of a cause all must be known
    known = not sought.cause or all(each.keys() == found[0].keys() for each in found)
    return Precondition(sought.name, True if known and all(found) else None, values)


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
