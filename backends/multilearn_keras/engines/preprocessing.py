"""What a keras-hub task does to data before its model sees them: its `preprocessor`, such as a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from multilearn.data import mapped
from multilearn.protocols import Batch
from multilearn_keras.tasks import unpack
from multilearn_keras.tasks.supervised import Supervised

__all__ = ["preprocessing_of"]


def preprocessing_of(task: Any) -> Callable[[Batch], Batch] | None:
    """What makes of a batch (x, y, sample_weight) of a loader what goes into the model; None if that is the same.

    A model with a `preprocessor` and `preprocess_samples` has its data preprocessed, as by its own `fit`, unless the
    task has a step of its own: that reads batches as it likes.
    """
    model = task.model
    if hasattr(task, "step") and not isinstance(task, Supervised):
        return None
    if getattr(model, "preprocessor", None) is None or not hasattr(model, "preprocess_samples"):
        return None

    return lambda batch: mapped(_on_host, model.preprocess_samples(*unpack(batch)))


def _on_host(leaf: Any) -> Any:
    if leaf is None or isinstance(leaf, np.ndarray):
        return leaf
    return ops.convert_to_numpy(leaf) if ops.is_tensor(leaf) else np.asarray(leaf)
