"""Trying a model and its data out before a run: for a learning rate, for what does not learn. Nothing is kept of it."""

from multilearn.trials.diagnosis import Verdict
from multilearn.trials.overfit import OverfitReport, overfit
from multilearn.trials.sweep import LearningRateSweep, find_learning_rate

__all__ = ["LearningRateSweep", "OverfitReport", "Verdict", "find_learning_rate", "overfit"]
