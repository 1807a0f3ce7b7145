"""What a run is to be: `LearnerBuilder`, and its form as data."""

from multilearn.builder.builder import LearnerBuilder

__all__ = ["LearnerBuilder"]
