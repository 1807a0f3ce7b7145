"""Rules that consist of others."""

from __future__ import annotations

from dataclasses import dataclass

from multilearn.early_stopping.rule import StoppingRule
from multilearn.errors import ConfigurationError
from multilearn.history import History

__all__ = ["AllOf", "FirstOf"]


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
