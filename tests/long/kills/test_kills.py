"""Killed at any moment, and again and again: the run ends as if nothing had happened."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from support.checking import expect_equal_runs, expect_nothing_lost
from support.running import Calls, Order, Warm, Whole, drawn

IN_A_ROW = 5


def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(
    warm: Warm, whole: Whole, resuming: Calls, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    wanted, rng = pytestconfig.getoption("--kills"), random.Random(pytestconfig.getoption("--chance"))
    outcomes: Counter[str] = Counter()
    runs = 0
    while (kills := outcomes.total()) < wanted:
        runs += 1
        told = []
        try:
            for kill in range(min(IN_A_ROW, wanted - kills) + 1):
                last = kill == min(IN_A_ROW, wanted - kills)
                order = Order() if last else drawn(rng, resuming if kill else whole.calls, whole.seconds)
                told.append(str(order))
                ended = warm.train(tmp_path / "run", order)
                assert ended.orphans == 0
                if not ended.killed:
                    break
                outcomes[order.fault.call if order.fault else "any moment"] += 1
                expect_nothing_lost(tmp_path / "run", ended.saved)
            expect_equal_runs(tmp_path / "run", ended, whole.directory, whole.ended)
        except AssertionError as error:
            error.add_note(f"on {warm.backend}, in run {runs}, killed: {'; '.join(told)}")
            raise
        shutil.rmtree(tmp_path / "run")
    said = ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
    print(f"{warm.backend}: {outcomes.total()} kills in {runs} runs ({said}); every run ended as the uninterrupted one")
