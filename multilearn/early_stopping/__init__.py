"""When to stop before the last epoch: pure functions of the recorded history and of the time spent."""

from multilearn.early_stopping.combined import AllOf, FirstOf, asks_for_time, time_limit_of
from multilearn.early_stopping.rules import NoImprovement, StoppingRule, Threshold, Timed, TimeLimit

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
