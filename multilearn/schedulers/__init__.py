"""Learning-rate schedules: functions of the optimizer update, counted from 0, and of the recorded history.

Every unit of time is an optimizer update, unless it says epochs: with `grads_accumulation(n)` that is n batches.
"""

from multilearn.schedulers.composed import Composed
from multilearn.schedulers.constant import Constant
from multilearn.schedulers.cosine import Cosine
from multilearn.schedulers.exponential import Exponential
from multilearn.schedulers.linear import Linear
from multilearn.schedulers.noam import Noam
from multilearn.schedulers.one_cycle import OneCycle
from multilearn.schedulers.plateau import ReduceOnPlateau
from multilearn.schedulers.polynomial import Polynomial
from multilearn.schedulers.schedule import Observing, Spanning
from multilearn.schedulers.sequential import Sequential
from multilearn.schedulers.step import Piecewise, Step
from multilearn.schedulers.warmup import Warmup
from multilearn.schedulers.watching import watched_by

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
    "watched_by",
]
