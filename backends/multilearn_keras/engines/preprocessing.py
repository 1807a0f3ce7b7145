"""What a keras-hub task does to data before its model sees them: its `preprocessor`, such as a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from multilearn.data import mapped
from multilearn.data.arrays import is_text
from multilearn.errors import DataError
from multilearn.protocols import Batch
from multilearn_keras.tasks import unpack
from multilearn_keras.tasks.supervised import Supervised

__all__ = ["preprocessing_of"]


def preprocessing_of(task: Any) -> Callable[[Batch], Batch] | None:
    """What makes of a batch (x, y, sample_weight) of a loader what goes into the model; None if that is the same.

    A model with a `preprocessor` and `preprocess_samples` has its data preprocessed, as by its own `fit`, unless the
    task has a step of its own: that reads batches as it likes. Texts of x go in as lists of `str`, as keras-hub's own
    `fit` has them: its tokenizers of byte pairs take nothing else. The function raises `DataError` if they are bytes
    that are no UTF-8.
    """
    model = task.model
    if hasattr(task, "step") and not isinstance(task, Supervised):
        return None
    if getattr(model, "preprocessor", None) is None or not hasattr(model, "preprocess_samples"):
        return None

    def preprocessed(batch: Batch) -> Batch:
        x, y, weight = unpack(batch)
        return mapped(_on_host, model.preprocess_samples(mapped(_listed, x), y, weight))

    return preprocessed


def _listed(leaf: Any) -> Any:
    return _decoded(leaf.tolist()) if isinstance(leaf, np.ndarray) and leaf.size and is_text(leaf) else leaf


def _decoded(texts: Any) -> Any:
    if isinstance(texts, list):
        return [_decoded(each) for each in texts]
    if isinstance(texts, str):
        return texts
    try:
        return texts.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            "Texts for a preprocessor must be str, or bytes in UTF-8.",
            received=f"{texts[:40]!r}: {error.reason}",
            remedy="Decode them where batches are made, in transform= or .map(...).",
        ) from error


def _on_host(leaf: Any) -> Any:
    if leaf is None or isinstance(leaf, np.ndarray):
        return leaf
    return ops.convert_to_numpy(leaf) if ops.is_tensor(leaf) else np.asarray(leaf)
