"""Tasks with a class for each position of a sequence: tags, and the next token."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from multilearn.arguments import optional_whole
from multilearn.errors import ConfigurationError, DataError
from multilearn_keras.tasks.label_checks import check_ids
from multilearn_keras.tasks.labelled import Classification
from multilearn_keras.tasks.supervised import single, unpack

__all__ = ["LanguageModel", "SequenceClassification"]


class SequenceClassification(Classification):
    """One class out of several for each position (token) of a sequence.

    `model`: outputs (batch, time, classes); targets: class ids (batch, time) or (batch, time, 1).
    Padding is what the model masks (`Embedding(mask_zero=True)`), and what has the target `padding`, such as -1 or 0:
    it is counted neither in the loss, a mean over the positions that are left, nor in metrics.
    Sample weights, (batch, time) or (batch,), multiply the loss and leave its divisor as it is, as in Keras; for one
    by which weights of zero are left out too, give a loss with `reduction="mean_with_sample_weight"`.
    `loss`, `from_logits`, `class_weight`: as for `Classification`.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Any = None,
        from_logits: bool = True,
        *,
        padding: int | None = None,
        class_weight: Any = None,
    ) -> None:
        super().__init__(model, loss, from_logits, class_weight=class_weight)
        self.padding = optional_whole("padding, the class id of the targets that are not counted,", padding)

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        if len(single(shape, self)) == 2:
            raise ConfigurationError(
                f"A {type(self).__name__} needs a model that outputs classes for each position, "
                "(batch, time, classes).",
                received=f"an output {('batch', *shape[1:])}",
                remedy="For one class for each whole sequence, use Classification.",
            )
        super().check(batch, shape)


class LanguageModel(SequenceClassification):
    """The next token, for each token of a text.

    `model`: outputs (batch, time, vocabulary) for token ids (batch, time), and must not look ahead (give attention
    `use_causal_mask=True`): that cannot be seen from outside.
    Batches: token ids (batch, time) alone, of which the model gets all but the last and is to predict all but the
    first; or (x, y) with the targets in y, (batch, time). `padding`: the id that fills up short texts.
    The loss is a mean over the tokens that are predicted and not padding; its count is how many these are.
    `loss`, `from_logits`, `class_weight`, sample weights: as for `SequenceClassification`; weights (batch, time) of
    token ids alone are those of the tokens as targets.
    """

    def inputs(self, batch: Any) -> Any:
        """What of a batch goes into the model: token ids without the last, or x as it is."""
        return self._unpacked(batch)[0]

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        ids, targets, _ = unpack(batch)
        if targets is None:
            _check_text(ids)
        super().check(batch, shape)
        vocabulary = single(shape, self)[-1]
        if targets is None and vocabulary is not None:
            embedded = {self.padding} if self.padding is not None and self.padding >= 0 else set()
            check_ids(np.asarray(ids), vocabulary, (None, None, vocabulary), embedded)

    def _unpacked(self, batch: Any) -> tuple[Any, Any, Any]:
        ids, targets, weight = unpack(batch)
        if targets is not None or len(getattr(ids, "shape", ())) != 2:
            return ids, targets, weight
        if weight is not None and len(weight.shape) > 1 and weight.shape[1] == ids.shape[1]:
            weight = weight[:, 1:]
        return ids[:, :-1], ids[:, 1:], weight


def _check_text(ids: Any) -> None:
    if isinstance(ids, (dict, list, tuple)) or ids is None or np.ndim(ids) != 2 or np.shape(ids)[1] < 2:
        what = type(ids).__name__ if isinstance(ids, (dict, list, tuple)) else f"shape {np.shape(ids)}"
        raise DataError(
            "A batch of a language model is token ids (batch, time), with a time of at least 2, or (x, y).",
            received=what,
            remedy="Cut the text into rows of one length, filled up with the padding id; give other inputs as (x, y).",
        )
