"""A trained model on data: `Evaluator` and `predict`."""

from multilearn.evaluation.evaluator import Evaluator
from multilearn.evaluation.predict import predict

__all__ = ["Evaluator", "predict"]
