"""What `fit` looks at before it writes anything."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from multilearn.data import as_loader, batches_of, kept_working, length
from multilearn.data.fingerprint import data_facts, loader_facts
from multilearn.errors import DataError
from multilearn.events import Split
from multilearn.protocols import Example, Loader

__all__ = ["Data", "examine", "first_example"]


@dataclass(frozen=True)
class Data:
    """The loaders that have batches, an example of each, and how many batches an epoch has (None: not known)."""

    loaders: Mapping[Split, Loader]
    examples: tuple[Example, ...]
    batches: Mapping[Split, int | None]
    notes: tuple[str, ...] = ()

    def described(self, *, first_batches: bool) -> dict[str, dict[str, Any]]:
        """`loaders`: how the data are divided into batches; `data`: which they are, see `data_facts`; by split."""
        seen = [
            (split, loader, example.batch)
            for (split, loader), example in zip(self.loaders.items(), self.examples, strict=True)
        ]
        return {
            "loaders": {str(split): self.divided(split) for split in self.loaders},
            "data": {str(split): data_facts(loader, batch if first_batches else None) for split, loader, batch in seen},
        }

    def divided(self, split: Split) -> dict[str, Any]:
        """How the data of a split are divided into batches."""
        example = self.examples[list(self.loaders).index(split)]
        return loader_facts(self.loaders[split], self.batches[split], example.batch)


def examine(train: Any, valid: Any, seed: int, stack: ExitStack) -> Data:
    """Look at one batch of each; `stack` ends what works for them. Raises `DataError` for nothing to train on."""
    loaders, examples, notes = {Split.TRAIN: as_loader(train, "training")}, [], []
    stack.enter_context(kept_working(loaders[Split.TRAIN]))
    first = first_example(loaders[Split.TRAIN], seed)
    if first is None:
        raise DataError(
            "The training loader must have at least one batch.",
            received="none",
            remedy="Look at the length of the data, and at drop_last with a large batch_size.",
        )
    examples.append(first)
    if valid is not None:
        loader = as_loader(valid, "validation")
        stack.enter_context(kept_working(loader))
        first = first_example(loader, seed)
        if first is None:
            notes.append("The validation loader has no batch: the run goes on without validation.")
        else:
            loaders[Split.VALID] = loader
            examples.append(first)
    batches = {split: length(loader) for split, loader in loaders.items()}
    return Data(loaders, tuple(examples), batches, tuple(notes))


def first_example(loader: Loader, seed: int) -> Example | None:
    """What there is to see of a loader beforehand; None if it has no batch."""
    with batches_of(loader, seed, 1) as batches:
        for batch in batches:
            whole = loader.whole() if hasattr(loader, "whole") else None
            return Example(batch, whole)
    return None
