"""Where batches come from, and in which order."""

from multilearn.data.array_loader import DataLoader
from multilearn.data.batches import Batches, as_loader
from multilearn.data.order import permutation
from multilearn.data.structure import leaves, mapped

__all__ = ["Batches", "DataLoader", "as_loader", "leaves", "mapped", "permutation"]
