"""What experiment.json tells of a run, as words that can be compared: an ordered table for each precondition.

A table has a value for each thing that was recorded. What differed between the processes that worked on a run is
joined by ", then ". What is missing was not recorded: nothing can be said about it, as of a framework's own settings
where another run is on another framework.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

from multilearn.events import Split
from multilearn.run.environment import Weights
from multilearn.run.on_disk import RunOnDisk

__all__ = [
    "NONE",
    "UNKNOWN",
    "Facts",
    "apart",
    "configuration",
    "data",
    "devices",
    "last",
    "layers",
    "listed",
    "machine",
    "numerics",
    "over_sessions",
    "settled",
    "short_hash",
    "weights",
]

Facts = Mapping[str, str]

UNKNOWN = "not recorded"
NONE = "none"
_SPLITS = (str(Split.TRAIN), str(Split.VALID))
_HASH = re.compile("[0-9a-f]{64}")
_CALL = re.compile(r"(\w+)\((.*)\)")
_ROUNDED = re.compile(r"~\[([^]]*)\]")
"""What `settled` knows to be floats that roundings may change."""
_ROUNDING = 1e-5
_FEW = 20
_SHOWN = 12
"""How many digits of a hash are shown."""
_OF_NO_EFFECT = frozenset({"name", "learning_rate"})
"""Of an optimizer: the scheduler says its learning rate."""
_SETTINGS = ("grads_accumulation", "nan_policy", "engine", "early_stopping")
"""Of a builder. Others change where and how long a run trains, and not what a batch of it does."""


def configuration(run: RunOnDisk) -> Facts:
    """What was declared, as far as it changes what a batch does, and not what things are called."""
    declared = run.declared
    model = _table(declared.get("model"))
    of_layers = layers(run)
    optimizer = {key: value for key, value in _table(declared.get("optimizer")).items() if key not in _OF_NO_EFFECT}
    kinds = {"layers": ", ".join(of_layers) if len(of_layers) <= _FEW else f"{len(of_layers)}"} if of_layers else {}
    trained = {**{key: declared.get(key) for key in ("task", "loss", "class_weight")}, "model": model.get("class")}
    updates = {"optimizer": optimizer, "scheduler": _table(declared.get("scheduler"))}
    subject, settings = (dict(_flat({name: part for name, part in of.items() if part})) for of in (trained, updates))
    builder = _table(declared.get("builder"))
    asked = {key: _word(builder.get(key)) for key in _SETTINGS if builder}
    # how many batches there are follows from these and the data
    divided = {key: value for key, value in over_sessions(run, "loaders").items() if not key.endswith(".batches")}
    return {**subject, **kinds, **of_layers, **settings, **asked, **divided}


def layers(run: RunOnDisk) -> Facts:
    """Of the configuration, each layer by its path."""
    return dict(_flat(_table(_table(run.declared.get("model")).get("layers"))))


def data(run: RunOnDisk) -> Facts:
    """Of each split and array, what is said of which items; where runs know other items, these are not compared."""
    recorded = [session.data for session in run.sessions if session.data]
    return _joined([dict(chain.from_iterable(_of_split(table, split) for split in _SPLITS)) for table in recorded])


def weights(run: RunOnDisk) -> Facts:
    """The hash of each variable, by its path, and last that of all of them."""
    found = Weights.read(run.declared)
    return {**dict(_flat(found.crc32)), **({} if found.sha256 is None else {"": _word(found.sha256)})}


def machine(run: RunOnDisk) -> Facts:
    """The system and the processor."""
    return over_sessions(run, "machine")


def devices(run: RunOnDisk) -> Facts:
    """How many were trained on, and which."""
    return _joined([{"": f"{len(each.on.split(', '))}: {each.on}"} for each in run.sessions if each.on])


def listed(facts: Facts) -> str:
    """What is set of it: `"keras 3.15.1, numpy 2.4.6"`."""
    return ", ".join(f"{key} {value}".strip() for key, value in facts.items() if value != NONE) or NONE


def short_hash(facts: Facts) -> str:
    """One hash of it, for what is too long to be shown."""
    return hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()[:_SHOWN]


def last(facts: Facts) -> str:
    """What sums it up."""
    return list(facts.values())[-1]


def settled(found: Sequence[Facts]) -> list[Facts]:
    """The facts of several runs, with the words of the first for what differs from them by roundings alone.

    Only numbers in `~[...]` may differ so, by 1e-5 of the largest in the brackets: statistics that were computed.

    >>> [facts["mean"] for facts in settled([{"mean": "~[0.3333333 2.5]"}, {"mean": "~[0.3333334 2.5]"}])]
    ['~[0.3333333 2.5]', '~[0.3333333 2.5]']
    """
    known: dict[str, list[str]] = {}
    for each in found:
        for key, value in each.items():
            values = known.setdefault(key, [])
            if not any(_same(value, other) for other in values):
                values.append(value)
    return [{key: next(v for v in known[key] if _same(value, v)) for key, value in each.items()} for each in found]


def _same(one: str, other: str) -> bool:
    if one == other or "~[" not in one or _ROUNDED.sub("", one) != _ROUNDED.sub("", other):
        return one == other
    pairs = zip(_ROUNDED.findall(one), _ROUNDED.findall(other), strict=True)
    return all(_close(*(list(map(float, numbers.split())) for numbers in pair)) for pair in pairs)


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    within = _ROUNDING * max(map(abs, (*one, *other)), default=0.0)
    return len(one) == len(other) and all(
        a == b or abs(a - b) <= within or (a != a and b != b) for a, b in zip(one, other, strict=True)
    )


def apart(values: Sequence[str]) -> list[str]:
    """What differs in values such as `Dropout(rate=0.5, seed=1)`; the values as they are where they are unlike.

    >>> apart(["Dropout(rate=0.5, seed=1)", "Dropout(rate=0.4, seed=1)"])
    ['Dropout(rate=0.5)', 'Dropout(rate=0.4)']
    """
    calls = [_CALL.fullmatch(value) for value in values]
    arguments = [call[2].split(", ") for call in calls if call is not None]
    names = {call[1] for call in calls if call is not None}
    if len(arguments) < len(values) or len({len(each) for each in arguments}) > 1 or len(names) > 1:
        return list(values)
    differing = [place for place, parts in enumerate(zip(*arguments, strict=True)) if len(set(parts)) > 1]
    return [f"{name}({', '.join(each[place] for place in differing)})" for name in names for each in arguments]


def _of_split(table: Mapping[str, Any], split: str) -> Iterator[tuple[str, str]]:
    yield split, "given" if split in table else NONE
    for of, arrays in _table(table.get(split)).items():
        if isinstance(arrays, str):
            yield f"{split} ({of})", arrays
        for array, facts in _table(arrays).items():
            for name, value in _table(facts).items():
                yield f"{split} {array} ({of}), {name}", _word(value)


def over_sessions(run: RunOnDisk, part: str) -> Facts:
    """A table that each session has, such as `"versions"`."""
    return _joined([dict(_flat(getattr(session, part))) for session in run.sessions])


def numerics(run: RunOnDisk, word: str) -> Facts:
    """The numerical settings with this word in their name. All but TF32 are each framework's own."""
    tables = []
    for session in run.sessions:
        found = _flat(session.numerics)
        of_framework = {
            "" if key == "tf32" else f"{session.backend} {key}": value for key, value in found if word in key
        }
        tables.append(of_framework)
    return _joined(tables)


def _joined(tables: Sequence[Facts]) -> Facts:
    keys = dict.fromkeys(key for table in tables for key in table)
    return {key: ", then ".join(value for value, _ in groupby(t[key] for t in tables if key in t)) for key in keys}


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _flat(nested: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in nested.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", _word(value)


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {True: "on", False: "off", None: NONE}[value]
    if isinstance(value, str):
        return value[:_SHOWN] if _HASH.fullmatch(value) else value
    return json.dumps(value, ensure_ascii=False)
