"""Rules that consist of others, and what rules watch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from multilearn.early_stopping.rules import NoImprovement, StoppingRule, Threshold, TimeLimit
from multilearn.errors import ConfigurationError
from multilearn.history import History, Monitor

__all__ = ["AllOf", "FirstOf", "asks_for_time", "time_limit_of", "watched_by"]


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
        object.__setattr__(self, "rules", rules)

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


def watched_by(rule: StoppingRule) -> Iterator[Monitor]:
    """Every metric that a rule watches, with its split and direction; a rule of one's own is not looked into."""
    if isinstance(rule, (NoImprovement, Threshold)):
        yield Monitor(rule.metric, rule.split, rule.direction)
    elif isinstance(rule, (FirstOf, AllOf)):
        for each in rule.rules:
            yield from watched_by(each)


def time_limit_of(rule: StoppingRule) -> TimeLimit | None:
    """The time limit that is enough to stop the run, whatever else the rule watches: to be looked at inside epochs.

    >>> time_limit_of(FirstOf(NoImprovement(epochs=5), TimeLimit(90), TimeLimit(minutes=1)))
    TimeLimit(seconds=0.0, minutes=1.0, hours=0.0)
    >>> time_limit_of(AllOf(NoImprovement(epochs=5), TimeLimit(90)))
    """
    if isinstance(rule, TimeLimit):
        return rule
    if isinstance(rule, FirstOf):
        limits = [limit for limit in map(time_limit_of, rule.rules) if limit is not None]
        return min(limits, key=lambda limit: limit.total, default=None)
    return None


def asks_for_time(rule: StoppingRule) -> bool:
    """Whether the time decides, too: not for rules that consist of `NoImprovement` and `Threshold` alone.

    >>> asks_for_time(FirstOf(NoImprovement(), Threshold(value=0.1)))
    False
    """
    if isinstance(rule, (FirstOf, AllOf)):
        return any(map(asks_for_time, rule.rules))
    return not isinstance(rule, (NoImprovement, Threshold))
