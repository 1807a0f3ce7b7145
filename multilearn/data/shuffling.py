"""Whether batches come in the order of the data, as far as it can be seen."""

from __future__ import annotations

from typing import Any

from multilearn.data.adaptors import PyDatasetBatches, Streamed, TorchBatches
from multilearn.data.loader import DataLoader
from multilearn.protocols import Loader

__all__ = ["out_of_order"]


def out_of_order(loader: Loader) -> str | None:
    """What makes the batches of a loader other than the items in their order; None if nothing is known to."""
    if isinstance(loader, DataLoader):
        options = loader.options()
        left_over = options["drop_last"] and len(loader.source) % options["batch_size"]
        return _said(options["shuffle"], f"{left_over} items" if left_over else "")
    if isinstance(loader, (PyDatasetBatches, Streamed, TorchBatches)):
        return _said(loader.shuffles, "")
    given: Any = loader
    return _said(getattr(given, "shuffle", None) is True, "")


def _said(shuffles: bool, left_over: str) -> str | None:
    found = ["it shuffles"] if shuffles else []
    found += [f"it leaves out the last {left_over} (drop_last)"] if left_over else []
    return " and ".join(found) or None
