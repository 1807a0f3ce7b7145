"""Trying a model and its data out before a run: for a learning rate, for what does not learn. Nothing is kept of it."""

from multilearn.trials.sweep import LearningRateSweep, find_learning_rate

__all__ = ["LearningRateSweep", "find_learning_rate"]
