"""Learning-rate schedules: functions of the optimizer update, counted from 0, and of the recorded history.

Every unit of time is an optimizer update, unless it says epochs: with `grads_accumulation(n)` that is n batches.
"""

from typing import TYPE_CHECKING

from multilearn.foreign_words import suggesting
from multilearn.schedulers.composition import Composed, Sequential
from multilearn.schedulers.cosine import Cosine, OneCycle
from multilearn.schedulers.decays import Constant, Exponential, Linear, Noam, Piecewise, Polynomial, Step
from multilearn.schedulers.plateau import ReduceOnPlateau
from multilearn.schedulers.schedule import Observing, Spanning
from multilearn.schedulers.warmup import Warmup

__all__ = [
    "Composed",
    "Constant",
    "Cosine",
    "Exponential",
    "Linear",
    "Noam",
    "Observing",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "ReduceOnPlateau",
    "Sequential",
    "Spanning",
    "Step",
    "Warmup",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there
    __getattr__ = suggesting(globals())
