"""What `fit` looks at before it writes anything."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
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
    examples: Mapping[Split, Example]
    batches: Mapping[Split, int | None]
    notes: tuple[str, ...] = ()

    def described(self, *, first_batches: bool) -> dict[str, dict[str, Any]]:
        """`loaders`: how the data are divided into batches; `data`: which they are, see `data_facts`; by split."""
        return {
            "loaders": {str(split): self.divided(split) for split in self.loaders},
            "data": {
                str(split): data_facts(loader, self.examples[split].batch if first_batches else None)
                for split, loader in self.loaders.items()
            },
        }

    def divided(self, split: Split) -> dict[str, Any]:
        """How the data of a split are divided into batches."""
        return loader_facts(self.loaders[split], self.batches[split], self.examples[split].batch)


def examine(train: Any, valid: Any, seed: int, stack: ExitStack) -> Data:
    """Look at one batch of each; `stack` ends what works for them. Raises `DataError` for nothing to train on."""
    loaders: dict[Split, Loader] = {}
    examples: dict[Split, Example] = {}
    for split, name, given in ((Split.TRAIN, "training", train), (Split.VALID, "validation", valid)):
        if given is None and split is Split.VALID:
            continue
        loader = as_loader(given, name)
        stack.enter_context(kept_working(loader))
        if (first := first_example(loader, seed)) is not None:
            loaders[split], examples[split] = loader, replace(first, data=f"{name} data")
    if Split.TRAIN not in loaders:
        raise DataError(
            "The training loader must have at least one batch.",
            received="none",
            remedy="Look at the length of the data, and at drop_last with a large batch_size.",
        )
    unused = valid is not None and Split.VALID not in loaders
    notes = ("The validation loader has no batch: the run continues without validation.",) if unused else ()
    return Data(loaders, examples, {split: length(loader) for split, loader in loaders.items()}, notes)


def first_example(loader: Loader, seed: int) -> Example | None:
    """What there is to see of a loader beforehand; None if it has no batch."""
    with batches_of(loader, seed, 1) as batches:
        for batch in batches:
            whole = loader.whole() if hasattr(loader, "whole") else None
            return Example(batch, whole)
    return None
