"""Going on from any batch is, to the last bit, not having stopped: weights, records, metric files and history.

Many more kinds of runs, and places to stop them at, are in `tests/long/resume`.
"""

from __future__ import annotations

from pathlib import Path

from support.resumed import Kind, assert_interrupted_is_whole
from support.resumed_runs import Stop


def test_a_run_that_is_stopped_and_killed_in_one_epoch_is_the_whole_one(tmp_path: Path) -> None:
    """With scaled losses, averaged weights, windows of two batches, one that is skipped, and a task that counts."""
    kind = Kind(optimizer="scaled", policy="mixed_float16", accumulation=2, counting=True, plateau=True, broken=True)
    stops = (Stop("train", 1, 1), Stop("train", 1, 3, killed=True))
    assert_interrupted_is_whole(kind, stops, tmp_path, seeded=False)
