"""When to stop before the last epoch: pure functions of the recorded history and of the time spent."""

from typing import TYPE_CHECKING

from multilearn.early_stopping.combined import AllOf, FirstOf, asks_for_time, time_limit_of
from multilearn.early_stopping.rules import NoImprovement, StoppingRule, Threshold, Timed, TimeLimit
from multilearn.foreign_words import suggesting

__all__ = [
    "AllOf",
    "FirstOf",
    "NoImprovement",
    "StoppingRule",
    "Threshold",
    "TimeLimit",
    "Timed",
    "asks_for_time",
    "time_limit_of",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there
    __getattr__ = suggesting(globals())
