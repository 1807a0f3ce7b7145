"""One training run, from data to the trained model."""

from multilearn.learner.learner import Learner

__all__ = ["Learner"]
