"""What `multilearn run --quick` says of the fits that it has tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multilearn.commands.text import size
from multilearn.printable import aligned, plural, printable

__all__ = ["TriedFit", "as_text"]

_SHOWN = 5


@dataclass(frozen=True)
class TriedFit:
    """Of a fit, in the words of its process: the `directory` that the script names; whether it `exists`, with a run
    that a real fit would refuse to replace; the `splits` of which a batch was taken.

    The first and the last of its `epochs`, none if there was nothing to train; how many `batches` each had at most; the
    checkpoint where it `began`, if it was resumed; the bytes of a `checkpoint`; the epoch from which it was `resumed`
    as a trial, or whether it was not as the data are there `once`; whether the values could be `compared` then, and
    which of them `differs`; the values that were `evaluated`, or why not; why it was `stopped_by`; the trackers that
    were left out.
    """

    directory: str
    seconds: float
    exists: bool = False
    splits: Sequence[str] = ()
    epochs: Sequence[int] = ()
    batches: int = 1
    began: str | None = None
    checkpoint: int | None = None
    resumed: int | None = None
    once: bool = False
    compared: bool = False
    differs: Sequence[str] = ()
    evaluated: Mapping[str, float | str] = field(default_factory=dict)
    not_evaluated: str | None = None
    stopped_by: str | None = None
    untracked: Sequence[str] = ()

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> TriedFit:
        return cls(**facts)

    def rows(self) -> Iterator[tuple[str, str]]:
        """What was tried, and what there is to look at, each with its head."""
        yield "trained", self._trained()
        if self.epochs and self.epochs[0] <= self.epochs[1] and self.stopped_by is None:
            yield "saved", "nothing" if self.checkpoint is None else f"a checkpoint of {size(self.checkpoint)}"
        if self.resumed is not None:
            yield "resumed", self._resumed(self.resumed)
        if self.once:
            yield "resumed", "nothing: a generator has no batch twice, and its first ones are trained on"
        if self.evaluated or self.not_evaluated:
            values = ", ".join(f"{name} {_short(value)}" for name, value in self.evaluated.items())
            yield "evaluated", f"nothing: {self.not_evaluated}" if self.not_evaluated else f"the checkpoint: {values}"
        if self.untracked:
            yield "left out", ", ".join(self.untracked)
        if self.exists:
            yield "note", f"{self.directory} holds a run: resume it, replace it (overwrite=True), or use another one"

    def _trained(self) -> str:
        began = "" if self.began is None else f"from checkpoint {self.began} on, "
        if not self.epochs:
            return f"{began}by processes of its own, which are not resumed and evaluated here"
        first, last = self.epochs
        if first > last:
            return f"{began}nothing, for all epochs are done"
        validated = ", validated on one" if "valid" in self.splits else ", without validation"
        stopped = "" if self.stopped_by is None else f", stopped: {self.stopped_by}"
        batches = "one batch" if self.batches == 1 else f"up to {self.batches} batches, as some may be skipped"
        return f"{began}{plural(last - first + 1, 'epoch')} of {batches}{validated}{stopped}"

    def _resumed(self, after: int) -> str:
        if after == self.epochs[1]:
            return f"after epoch {after}, the last one"
        if not self.compared:
            return f"after epoch {after}; a loader keeps its place itself, so that a cut epoch has no values to compare"
        if not self.differs:
            return f"after epoch {after}, with the values of the run that is not interrupted"
        more = f"; and {len(self.differs) - _SHOWN} more" if len(self.differs) > _SHOWN else ""
        return f"after epoch {after}, with OTHER values: {'; '.join(self.differs[:_SHOWN])}{more}"


def as_text(ended: Sequence[tuple[str, int | None, float, Sequence[TriedFit] | None]]) -> str:
    """Lines for each cell: its name, exit code and seconds, and its fits."""
    found = []
    for cell, code, seconds, fits in ended:
        for fit in fits or ():
            found += [f"{cell}: {fit.directory}", *aligned(list(map(list, fit.rows())), indent="  ")]
        if code is None:
            found.append(f"{cell}: not started")
            continue
        none = ", and fit was not called: nothing was cut short" if not fits and not code else ""
        within = sum(fit.seconds for fit in fits or ())
        tried = f"{plural(len(fits), 'fit')} tried in {within:.1f} s, " if fits else ""
        stopped = [fit for fit in fits or () if fit.stopped_by in ("SIGINT", "SIGTERM")]
        works = "interrupted" if stopped else "the script does not work" if code else "the script works"
        found.append(f"{cell}: {works}{none}: {tried}exit {code}, {seconds:.1f} s in all")
    return "\n".join(f"multilearn: {printable(line)}" for line in found)


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
