"""A function of batches, run as it is at first, and as a graph for every kind of batch that comes often."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from multilearn.data import flat, mapped
from multilearn.errors import WorldError
from multilearn.protocols import Batch
from multilearn_keras.engines.joint import Joint
from multilearn_keras.engines.signatures import signature
from multilearn_keras.engines.torch.capture.aliases import write_in_place
from multilearn_keras.engines.torch.capture.comparing import Snapshot, Writes, difference
from multilearn_keras.engines.torch.capture.passes import relayout, simplify
from multilearn_keras.engines.torch.capture.program import Program
from multilearn_keras.state.assignments import Assigned
from multilearn_keras.torch_tracing import CannotCapture, TooLarge, trace

__all__ = ["Captured"]

MIN_SEEN = 4
SEEN_IF_RARE = 32
MIN_SHARE = 8
"""Making a graph takes as long as 50 to 300 eager batches. It is made once more than `MIN_SEEN` batches of a kind were
seen and at least every `MIN_SHARE`th batch is of it; for a rarer kind, such as the last batch of an epoch, once more
than `SEEN_IF_RARE` were seen."""
TRIED = 3
"""So many batches of a kind are then run both ways."""
GRAPHS = 64
KINDS = 1024
"""More kinds than these, with a graph and without, stay eager."""
SLOWER = 1.3
"""A graph that takes so many times as long as eager operations, and has their bits, is not used."""

COUNTED, COMPILED, REARRANGED, GRAPH, EAGER = "counted", "compiled", "rearranged", "graph", "eager"
"""How a kind of batch is run: `COUNTED` ones eagerly so far; the others fall back to the next one if not right."""
_NEXT = {COMPILED: REARRANGED, REARRANGED: GRAPH, GRAPH: EAGER}

_COMPILED_ROUNDINGS = 32
"""A compiler joins operations, which rounds otherwise: so many times as far off as allowed is right."""

_log = logging.getLogger("multilearn")


@dataclass
class _Kind:
    """Batches that go through one graph, once it was `tried` often enough. `met`: how often they came."""

    way: str = COUNTED
    met: int = 0
    program: Program | None = None
    tried: int = 0
    exact: bool = True
    seconds: tuple[float, float] = (float("inf"), float("inf"))
    slower: bool = False


@dataclass
class Captured:
    """A step for each kind of batch: decided by how often it came, and by a clock only where the bits are the same.

    `run(batch)` takes tensors nested like a batch and returns nested tensors. It may change `state()`; `refuse` raises
    for what else it changes. `own` makes a tensor of a leaf for it alone, `borrowed` one that may be the leaf's memory.
    `passes`: whether graphs may be rearranged. `compiler`: `"inductor"` or None.

    The graph's results count from its first batch on. If they are not what the eager step gives, or no graph can be
    made, that kind stays eager, and the log says why.

    `first_only`: the first kind is captured at once, and no other: what a validation that is begun again needs, for
    nothing then depends on how many batches came before.

    `joint`: of batches that are shared with other processes. All of them decide alike, and none by a clock.
    """

    name: str
    run: Callable[[Batch], Any]
    state: Callable[[], Sequence[torch.Tensor]]
    own: Callable[[Any], torch.Tensor]
    borrowed: Callable[[Any], torch.Tensor]
    passes: bool = True
    compiler: str | None = None
    refuse: Callable[[list[Assigned]], None] | None = None
    first_only: bool = False
    joint: Joint | None = None
    _known: dict[str, _Kind] = field(default_factory=dict)
    _kinds: dict[Hashable, _Kind] = field(default_factory=dict)
    _refused: bool = False

    def __call__(self, batch: Batch) -> Any:
        """What the step makes of a batch of host arrays, or tensors, in the model's types."""
        key = signature(batch) if self.joint is None else self.joint.kind(batch)
        kind = self._kinds.get(key) or self._new(key)
        kind.met += 1
        if kind.program is not None and kind.tried == TRIED:
            make = self.own if kind.program.writes else self.borrowed
            return kind.program([make(leaf) for leaf in flat(batch)])
        if not (kind.slower or self._refused):
            if kind.way == COUNTED and (self._is_first(kind) if self.first_only else self._is_due(kind.met)):
                kind.way = self._first_way()
            if kind.way in _NEXT:
                return self._run_both_ways(kind, batch)
        return self.run(mapped(self.own, batch))

    @property
    def decided(self) -> dict[str, list[Any]]:
        """How the kinds of batches are run, and how often they came: plain data for `decide`."""
        return {text: [kind.way, kind.met] for text, kind in self._known.items()}

    def decide(self, decided: Mapping[str, list[Any]]) -> None:
        """Run batches as another process decided: what is continued there has the same bits here."""
        self._known = {text: _Kind(way, met) for text, (way, met) in decided.items()}
        self._kinds = {}

    def _new(self, key: Hashable) -> _Kind:
        text = str(key)
        if text not in self._known and len(self._known) >= KINDS:
            return _Kind(EAGER)
        return self._kinds.setdefault(key, self._known.setdefault(text, _Kind()))

    def _is_first(self, kind: _Kind) -> bool:
        return next(iter(self._known.values()), None) is kind

    def _is_due(self, met: int) -> bool:
        if met <= MIN_SEEN:
            return False
        return met > SEEN_IF_RARE or MIN_SHARE * met >= sum(kind.met for kind in self._known.values())

    def _first_way(self) -> str:
        if sum(kind.way in _NEXT for kind in self._known.values()) >= GRAPHS:
            return EAGER
        if self.compiler is not None:
            return COMPILED
        return REARRANGED if self.passes else GRAPH

    def _run_both_ways(self, kind: _Kind, batch: Batch) -> Any:
        """From the same state; what the graph gives stays, unless the eager step gives something else."""
        before = Snapshot(self.state())
        try:
            if kind.program is None:
                kind.program = self._made(kind, batch)
                before.put_back()
            found, taken = _timed(kind.program, self._owned(batch))
        except WorldError:
            raise
        except Exception as error:
            before.put_back()
            self._give_up(kind, error)
            return self.run(mapped(self.own, batch))
        after = Snapshot(self.state())
        before.put_back()
        expected, needed = self._eager(kind, batch)
        off = max(difference(found, expected), difference(tuple(after.values), tuple(self.state())))
        off = off if self.joint is None else self.joint.largest(off)
        if off > (_COMPILED_ROUNDINGS if kind.way == COMPILED else 1):
            self._take_back(kind, off)
            return expected
        after.put_back()
        self._judge(kind, off, taken, needed)
        return found

    def _eager(self, kind: _Kind, batch: Batch) -> tuple[Any, float]:
        """The step as it is; the first one of a kind is looked at for what it must not change."""
        owned = mapped(self.own, batch)
        if kind.tried or self.refuse is None:
            return _timed(self.run, owned)
        with Writes(flat(owned)) as writes:
            expected, needed = _timed(self.run, owned)
        if lost := writes.found(self.state()):
            self.refuse(lost)
        return expected, needed

    def _owned(self, batch: Batch) -> list[torch.Tensor]:
        return [self.own(leaf) for leaf in flat(batch)]

    def _made(self, kind: _Kind, batch: Batch) -> Program:
        """A graph for batches like this one; making it is a step that changes the state."""

        def run(tensors: Sequence[torch.Tensor]) -> Any:
            following = iter(tensors)
            return self.run(mapped(lambda _: next(following), batch))

        traced = trace(run, self._owned(batch))
        simplify(traced.module)
        if kind.way == COMPILED:
            return Program(traced.module, traced.returned, self.compiler)
        if kind.way == REARRANGED and not relayout(traced.module):
            kind.way = GRAPH
        write_in_place(traced.module, exact=kind.way == GRAPH)
        return Program(traced.module, traced.returned)

    def _judge(self, kind: _Kind, off: float, taken: float, needed: float) -> None:
        """After a batch that was right both ways."""
        kind.tried += 1
        kind.exact = kind.exact and off == 0
        kind.seconds = min(kind.seconds[0], taken), min(kind.seconds[1], needed)
        quick, eager = kind.seconds
        slower = self.joint is None and quick > SLOWER * eager
        if kind.tried == TRIED and kind.way == GRAPH and kind.exact and slower:
            # its way stays: what a clock says is no part of a record
            kind.slower, kind.program = True, None

    def _take_back(self, kind: _Kind, off: float) -> None:
        """After a batch for which the graph was not right."""
        way = self._step_down(kind)
        message = "The %s step falls back from %s to %s: its results would differ by %.1f times the tolerance."
        level = logging.WARNING if kind.way == EAGER else logging.INFO
        _log.log(level, message, self.name, way, kind.way, off)

    def _give_up(self, kind: _Kind, error: Exception) -> None:
        """After a batch for which there is no graph, or none that runs."""
        if isinstance(error, CannotCapture):
            # the code says so, whatever the batch, unless a smaller one can be captured
            kind.way, kind.program, self._refused = EAGER, None, not isinstance(error, TooLarge)
            _log.warning("The %s step runs eagerly, because it cannot be captured as a graph: %s.", self.name, error)
            return
        way = self._step_down(kind)
        message = "The %s step falls back from %s to %s: %s: %s"
        _log.warning(message, self.name, way, kind.way, type(error).__name__, str(error)[:300])

    def _step_down(self, kind: _Kind) -> str:
        """Have the next way tried. Returns the one that was not right."""
        way, kind.way = kind.way, _NEXT[kind.way]
        kind.program, kind.tried, kind.exact = None, 0, True
        return way


def _timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    return function(*arguments), time.perf_counter() - started
