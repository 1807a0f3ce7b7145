"""Whether a record is of this model and optimizer; if not, which layers and which state of the optimizer differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multilearn.errors import RecordMismatch
from multilearn.protocols import Record
from multilearn.records.matching import differences, mismatch
from multilearn_keras.state.keys import flatten, layers_of

__all__ = ["require_same", "require_same_model"]

_SLOTS = "slots"


def require_same(task: Any, optimizer: Any, expected: Record, received: Record) -> None:
    """Raise `RecordMismatch` unless the parts `model` and `optim` have the structure of these, naming the layers."""
    found = differences(expected, received)
    if found and all(line.startswith("optim/") for line in found):
        raise RecordMismatch(
            "A resumed run keeps its optimizer and its trainable layers, for which the optimizer has state.",
            received="\n  ".join([_of_optimizer(task, optimizer, expected["optim"], received["optim"]), *found]),
            remedy="To train from its weights alone, call multilearn_keras.load_weights(model, directory) and begin a "
            "run in a new directory, without .checkpoint(...).",
        )
    _refuse(task, found, "model/", "the model and the optimizer")


def require_same_model(task: Any, expected: Record, received: Record) -> None:
    """Raise `RecordMismatch` unless the record is of the task's model, naming the layers that differ."""
    _refuse(task, differences(expected, received), "", "the model")


def _refuse(task: Any, found: list[str], prefix: str, what: str) -> None:
    if found:
        raise mismatch([_named(task, line, prefix) for line in found], what)


def _named(task: Any, line: str, prefix: str) -> str:
    """A difference with the name of its layer behind the key."""
    key, colon, said = line.partition(": ")
    name = _layer(task, key.removeprefix(prefix)) if key.startswith(prefix) else None
    return line if name is None else f"{key} (layer {name!r}){colon}{said}"


def _layer(task: Any, key: str) -> str | None:
    """The name of the layer that a variable's key belongs to; None for the model itself and for what is not in it."""
    owners = [(of, layer.name) for of, layer in layers_of(task).items() if of and f"{key}/".startswith(f"{of}/")]
    return max(owners)[1] if owners else None


def _of_optimizer(task: Any, optimizer: Any, expected: Mapping[str, Any], received: Mapping[str, Any]) -> str:
    now, then = _kept(expected), _kept(received)
    trained, frozen = now.keys() - then.keys(), then.keys() - now.keys()
    if now and then and (trained or frozen):
        changed = {
            "trainable now, and not when saved": trained,
            "trainable when saved, and not now": frozen,
        }
        return "; ".join(
            f"{what}: {', '.join(sorted({repr(_layer(task, key) or key) for key in keys}))}"
            for what, keys in changed.items()
            if keys
        )
    roles = [sorted({role for kept in found.values() for role in kept}) for found in (now, then)]
    mine, saved = (", ".join(each) or "nothing" for each in roles)
    return f"a record of another optimizer: {type(optimizer).__name__} keeps {mine}, and the record has {saved}"


def _kept(optim: Mapping[str, Any]) -> dict[str, set[str]]:
    """By the key of each trained variable: what an optimizer keeps for it."""
    kept: dict[str, set[str]] = {}
    for key in flatten(optim):
        parts = key.split("/")
        if _SLOTS in parts[:-2]:
            at = parts.index(_SLOTS)
            kept.setdefault("/".join(parts[at + 2 :]), set()).add(parts[at + 1])
    return kept
