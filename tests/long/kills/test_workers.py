"""The processes that load data for a run."""

from __future__ import annotations

from pathlib import Path

from support.checking import expect_equal_runs
from support.running import Order, Warm
from support.wire import Fault


def test_the_worker_processes_of_a_loader_end_with_the_run_that_is_killed(warm: Warm, tmp_path: Path) -> None:
    workers = {"workers": 2}
    whole = warm.train(tmp_path / "whole", Order(options=workers))
    assert whole.code == 0, whole.said
    ended = warm.train(tmp_path / "run", Order(Fault("fsync", "record", 8, "before"), options=workers))
    assert ended.killed and ended.orphans == 0
    expect_equal_runs(tmp_path / "run", warm.train(tmp_path / "run", Order(options=workers)), tmp_path / "whole", whole)
