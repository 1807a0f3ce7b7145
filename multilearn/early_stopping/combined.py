"""Rules that consist of others, and what they say of the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from multilearn.arguments import settle
from multilearn.early_stopping.rules import StoppingRule, Timed, TimeLimit
from multilearn.errors import ConfigurationError
from multilearn.history import History, Monitor, watched_by

__all__ = ["AllOf", "FirstOf", "asks_for_time", "time_limit_of"]


class _Several:
    """What rules that consist of others have in common."""

    rules: tuple[StoppingRule, ...]

    def __init__(self, *rules: StoppingRule) -> None:
        fit = [isinstance(each, StoppingRule) and not isinstance(each, type) for each in rules]
        if not fit or not all(fit):
            raise ConfigurationError(
                f"{type(self).__name__} combines stopping rules, at least one.",
                received=", ".join(map(repr, rules)) or "none",
                remedy=f"Write {type(self).__name__}(NoImprovement(epochs=5), TimeLimit(hours=2)).",
            )
        settle(self, rules=rules)

    @property
    def asks_for_time(self) -> bool:
        return any(map(asks_for_time, self.rules))

    def time_limit(self) -> TimeLimit | None:
        return None

    def watched(self) -> Iterator[Monitor]:
        return chain.from_iterable(map(watched_by, self.rules))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.rules))})"


@dataclass(frozen=True, init=False, repr=False)
class FirstOf(_Several):
    """Stop as soon as any of several rules says so; its reason is the reason.

    >>> from multilearn.early_stopping import NoImprovement, TimeLimit
    >>> FirstOf(NoImprovement(epochs=5), TimeLimit(minutes=1)).reason(History(), 1, 60.0)
    'the time limit of 60 s is over: the run took 60.0 s'
    """

    rules: tuple[StoppingRule, ...]

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        reasons = (rule.reason(history, epoch, elapsed) for rule in self.rules)
        return next((reason for reason in reasons if reason is not None), None)

    def time_limit(self) -> TimeLimit | None:
        limits = [limit for limit in map(time_limit_of, self.rules) if limit is not None]
        return min(limits, key=lambda limit: limit.total, default=None)


@dataclass(frozen=True, init=False, repr=False)
class AllOf(_Several):
    """Stop after the first epoch for which all of several rules say so; the reason names all of theirs.

    >>> from multilearn.early_stopping import TimeLimit
    >>> AllOf(TimeLimit(1), TimeLimit(2)).reason(History(), 1, 1.5)
    """

    rules: tuple[StoppingRule, ...]

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        reasons = [rule.reason(history, epoch, elapsed) for rule in self.rules]
        found = [reason for reason in reasons if reason is not None]
        return "; ".join(found) if len(found) == len(reasons) else None


def time_limit_of(rule: StoppingRule) -> TimeLimit | None:
    """The time limit that is enough to stop the run, whatever else the rule watches: it is looked at inside epochs.

    >>> from multilearn.early_stopping import NoImprovement, Threshold
    >>> time_limit_of(FirstOf(NoImprovement(epochs=5), TimeLimit(90), TimeLimit(minutes=1)))
    TimeLimit(seconds=0.0, minutes=1.0, hours=0.0)
    >>> time_limit_of(AllOf(NoImprovement(epochs=5), TimeLimit(90)))
    """
    return rule.time_limit() if isinstance(rule, Timed) else None


def asks_for_time(rule: StoppingRule) -> bool:
    """Whether the time decides, too: so it is assumed of a rule that does not say.

    >>> from multilearn.early_stopping import NoImprovement, Threshold
    >>> asks_for_time(FirstOf(NoImprovement(), Threshold(value=0.1)))
    False
    """
    return rule.asks_for_time if isinstance(rule, Timed) else True
