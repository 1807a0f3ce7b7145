"""Where batches come from, and in which order."""

from multilearn.data.adapt import Batches, as_loader, epoch_of, out_of_order, take
from multilearn.data.images import ImageFolder
from multilearn.data.iteration import Passing, batches_of, closing_after, items_in, kept_working, length
from multilearn.data.loader import DataLoader
from multilearn.data.nested import flat, leaves, mapped
from multilearn.data.resume import ValidationPosition, go_to, keeps_place, place_of, resumes_inside_epoch
from multilearn.data.sharded import Sharded
from multilearn.data.split import train_valid_split
from multilearn.seeding.order import permutation

__all__ = [
    "Batches",
    "DataLoader",
    "ImageFolder",
    "Passing",
    "Sharded",
    "ValidationPosition",
    "as_loader",
    "batches_of",
    "closing_after",
    "epoch_of",
    "flat",
    "go_to",
    "items_in",
    "keeps_place",
    "kept_working",
    "leaves",
    "length",
    "mapped",
    "out_of_order",
    "permutation",
    "place_of",
    "resumes_inside_epoch",
    "take",
    "train_valid_split",
]
