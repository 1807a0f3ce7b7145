"""The process of one framework: the work it is asked for, and a file with what was measured.

python -m benchmarks.training torch OUT.json mlp:64 cnn:16 [--quick]
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)

from benchmarks.harness.machine import versions
from benchmarks.training.measured import measured
from benchmarks.training.peers import LOOP, peers_of
from benchmarks.training.setup import Setup
from benchmarks.training.turns import take_turns
from benchmarks.training.workloads import Work


def main(framework: str, out: str, *asked: str) -> None:
    settle(framework)
    rows: list[dict[str, Any]] = []
    for word in asked:
        model, batch, kind = word.split(":")
        work = Work.of(model, int(batch), quick=kind == "quick", long=kind == "long")
        print(f"{framework} {word}", flush=True)
        rows.append(done(framework, work))
        Path(out).write_text(json.dumps({"rows": rows, "versions": versions()}))


def done(framework: str, work: Work) -> dict[str, Any]:
    ml.set_seed(1)
    setup = Setup.of(work)
    try:
        peers = peers_of(framework, setup)
        take_turns(peers)
        (reference,) = (peer for peer in peers if peer.name == LOOP)
        return {"framework": framework, **vars(work), "peers": measured(peers, reference)}
    finally:
        shutil.rmtree(setup.scratch, ignore_errors=True)


def settle(framework: str) -> None:
    """One thread, where the environment does not say it."""
    if framework == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
