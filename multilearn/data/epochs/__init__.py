"""How many batches an epoch has: as many as are asked for, or suspiciously many."""

from multilearn.data.epochs.bounded import BoundedEpochs, unbounded
from multilearn.data.epochs.first_batches import first_of_each
from multilearn.data.epochs.length import EpochLength
from multilearn.data.epochs.next_batches import next_ones

__all__ = ["BoundedEpochs", "EpochLength", "first_of_each", "next_ones", "unbounded"]
