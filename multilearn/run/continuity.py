"""What a resumed run does otherwise than the one it continues, as far as experiment.json and the record say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from multilearn.errors import DirectoryError
from multilearn.events import Position, Split
from multilearn.printable import printable
from multilearn.run.experiment import earlier, read_document
from multilearn.storage.layout import RunDirectory

__all__ = ["changes"]

T = TypeVar("T")

_STATISTICS = re.compile(r"\b(mean|variance)=([^,\[)]*\[[^\]]*\]|[^,)]*)")
_SHOWN, _LONGEST = 3, 200
"""How many layers are named, and how many characters of each."""


def changes(
    source: Path, position: Position, schedule: Mapping[str, Any], loader: Mapping[str, Any], subject: Mapping[str, Any]
) -> Iterator[str]:
    """Sentences for the log.

    `source`: the run that is continued at `position`, with the record `schedule`. `loader`: how the training data are
    divided into batches now, as `loader_facts` has it; `subject`: the description of what is trained now.
    """
    experiment = RunDirectory(source).experiment
    try:
        document = read_document(experiment)
    except DirectoryError:
        document = {}
    before, now = (_found(each, "optimizer", "class", str) for each in (document, subject))
    if before and now and before != now:
        yield (
            f"The run was trained with {_text(before)} and is resumed with {_text(now)}, from the same state: the rest "
            "will differ from an uninterrupted run."
        )
    weights = [each.get("class_weight") for each in (document, subject)]
    if document and weights[0] != weights[1]:
        yield (
            f"The run was trained with class_weight {_text(weights[0])} and is resumed with {_text(weights[1])}: the "
            "rest will differ from an uninterrupted run."
        )
    yield from _of_layers(*(_found(each, "model", "layers", dict) or {} for each in (document, subject)))
    if position.batch is not None and not schedule["progress"].get("trained", False):
        sessions, _ = earlier(experiment)
        then = sessions[-1].loaders.get(Split.TRAIN) if sessions else None
        size = then.get("batch_size") if isinstance(then, dict) else None
        own_place = (schedule.get("loader") or {}).get("state") is not None
        yield from _of_batches(position, schedule["progress"]["batches"], size, loader, own_place)


def _of_batches(
    position: Position, batches: int | None, size: Any, loader: Mapping[str, Any], own_place: bool
) -> Iterator[str]:
    """`batches`, `size`: of the epoch that the checkpoint is in. `own_place`: the loader knows itself where it was."""
    done, new = position.batch or 0, loader["batch_size"]
    if isinstance(size, int) and isinstance(new, int) and size != new and not own_place:
        left = f"{done * abs(new - size)} items of epoch {position.epoch} are"
        yield (
            f"The checkpoint {position} was made after {done} batches of {size} items, and a batch now has {new}: "
            f"{done} batches are skipped, {done * new} items in place of {done * size}, so that {left} "
            f"{'never trained on' if new > size else 'trained on twice'}. To avoid that, use batches of {size}, or "
            "resume from the end of an epoch: .checkpoint(number)."
        )
    elif batches != loader["batches"]:
        skipped = "" if own_place else f", of which {done} are skipped"
        yield (
            f"An epoch now has {loader['batches']} batches{skipped}, and had {batches} when the checkpoint was made "
            "inside one."
        )


def _of_layers(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """As with other trainable layers, or another rate of dropout: the record fits all the same."""
    changed = [
        f"{key} was {_text(before[key])} and is {_text(now[key])}"
        for key in now
        if key in before and _settings(before[key]) != _settings(now[key])
    ]
    if changed:
        more = f"; and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        yield (
            f"Layers are configured otherwise than before: {'; '.join(changed[:_SHOWN])}{more}. The rest will differ "
            "from an uninterrupted run."
        )


def _settings(layer: Any) -> str:
    """Without statistics, which the record has, or is compared with: version 0.1 wrote the class of their tensor."""
    return _STATISTICS.sub("", str(layer))


def _text(found: Any) -> str:
    """What a file says, as one short line that does nothing to a terminal."""
    return printable(str(found))[:_LONGEST]


def _found(described: Mapping[str, Any], what: str, key: str, kind: type[T]) -> T | None:
    """What a file says of the optimizer, or of the model, if it is of that kind."""
    facts = described.get(what)
    value = facts.get(key) if isinstance(facts, Mapping) else None
    return value if isinstance(value, kind) else None
