"""When to stop before the last epoch: pure functions of the recorded history and of the time spent."""

from multilearn.early_stopping.no_improvement import NoImprovement
from multilearn.early_stopping.rule import StoppingRule
from multilearn.early_stopping.several import AllOf, FirstOf
from multilearn.early_stopping.threshold import Threshold
from multilearn.early_stopping.time_limit import TimeLimit
from multilearn.early_stopping.watching import asks_for_time, time_limit_of, watched_by

__all__ = [
    "AllOf",
    "FirstOf",
    "NoImprovement",
    "StoppingRule",
    "Threshold",
    "TimeLimit",
    "asks_for_time",
    "time_limit_of",
    "watched_by",
]
