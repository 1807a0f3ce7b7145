"""What a rule looks at."""

from __future__ import annotations

from collections.abc import Iterator

from multilearn.early_stopping.no_improvement import NoImprovement
from multilearn.early_stopping.rule import StoppingRule
from multilearn.early_stopping.several import AllOf, FirstOf
from multilearn.early_stopping.threshold import Threshold
from multilearn.early_stopping.time_limit import TimeLimit
from multilearn.history import Monitor

__all__ = ["asks_for_time", "time_limit_of", "watched_by"]


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
