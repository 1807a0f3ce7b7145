"""What the peers of one piece of work took, and whether they did the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.harness.figures import largest_difference, spread_of
from benchmarks.training.turns import Peer

__all__ = ["STEPS_COMPARED", "measured"]

STEPS_COMPARED = 20


def measured(peers: Sequence[Peer], reference: Peer) -> dict[str, dict[str, Any]]:
    """The row of each peer. `difference`: from the losses of `reference`, the largest, relative."""
    return {peer.name: row(peer, reference) for peer in peers}


def row(peer: Peer, reference: Peer) -> dict[str, Any]:
    if peer.error is not None or peer.tail is None:
        return {"error": peer.error}
    wall, cpu = ([1e3 * getattr(lap, kind) / peer.work.steps for lap in peer.laps[1:]] for kind in ("wall", "cpu"))
    step, cpu_step = spread_of(wall), spread_of(cpu)
    whole = [sum(getattr(lap, kind) for lap in (*peer.laps, peer.tail)) for kind in ("wall", "cpu")]
    return {
        "step_ms": step,
        "cpu_step_ms": cpu_step,
        # by the time of the processor: it is one number, and the clock has whatever else the machine did
        "start_up_s": round(whole[1] - len(peer.laps) * cpu_step["median"] * peer.work.steps / 1e3, 3),
        "fit_s": round(whole[0], 4),
        "cpu_fit_s": round(whole[1], 4),
        "epochs": len(peer.laps),
        "steps": peer.work.steps,
        "difference": difference(peer, reference),
        "last": vars(peer.epochs[-1]),
    }


def difference(peer: Peer, reference: Peer) -> float | None:
    """Between the losses of the first batches, where both have them, and the exact losses of the first epoch."""
    if not reference.epochs:
        return None
    ours, theirs = peer.epochs[0], reference.epochs[0]
    pairs = [*zip(peer.first_losses[:STEPS_COMPARED], reference.first_losses[:STEPS_COMPARED], strict=False)]
    if peer.work == reference.work:
        pairs += [(ours.loss, theirs.loss), (ours.valid_loss, theirs.valid_loss)]
    return largest_difference(pairs) if pairs else None
