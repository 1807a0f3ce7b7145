"""What layers look things up in, as a `.keras` archive says it: in its configuration, and in files beside it.

Both are read as data: nothing is made of a configuration, and no code is run.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multilearn.storage.reading import parsed
from multilearn_keras.state.beside import difference

__all__ = ["differences_beside"]

_CONFIG = "config.json"
_ASSETS = "assets/"
_VOCABULARY = "vocabulary.txt"
_LARGEST = 1 << 26
_MARKS = 1 << 22
_LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")
_ARGUMENTS = {
    "Discretization": ("bin_boundaries",),
    "Hashing": ("num_bins", "mask_value", "salt"),
    "HashedCrossing": ("num_bins",),
    "Normalization": ("mean", "variance"),
    **dict.fromkeys(_LOOKUPS, ("vocabulary", "num_oov_indices", "oov_method", "salt", "invert")),
}


def differences_beside(received: Path, own: Path) -> list[str]:
    """A line for all in which the layers of the archive `own` have something else than those of `received`.

    Layers are the same if they are of one class and at the same place among those of this class. Raises `ValueError`,
    or what `zipfile` raises, for an archive that is damaged or beyond all size.
    """
    theirs, ours = _facts(received), _facts(own)
    found = ((label, difference(theirs[label], value)) for label, value in ours.items() if label in theirs)
    return [f"{label} {differs}" for label, differs in found if differs]


def _facts(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name == _CONFIG or name.startswith(_ASSETS)]
        if sum(archive.getinfo(name).file_size for name in names) > _LARGEST:
            raise ValueError(f"its configuration and assets take more than {_LARGEST} bytes")
        config = parsed(archive.read(_CONFIG), marks=_MARKS)
        # a vectorization of texts writes the vocabulary of the lookup in it twice
        assets = {
            name: archive.read(name).decode(errors="replace").splitlines()
            for name in names
            if name.startswith(_ASSETS) and not name.endswith("/") and "/_lookup_layer/" not in name
        }
    vocabularies = iter([assets.pop(name) for name in list(assets) if name.endswith(f"/{_VOCABULARY}")])
    count: Counter[str] = Counter()
    found = {}
    for kind, settings in _layers(config):
        label = f"layers/{kind}.{count[kind]}"
        count[kind] += 1
        for name in _ARGUMENTS[kind]:
            value = settings.get(name)
            if name == "vocabulary":
                value = _texts(settings, next(vocabularies, None) if value is None else value)
            found[f"{label}: {name}"] = value
    return found | {name.removeprefix(_ASSETS): lines for name, lines in assets.items()}


def _texts(settings: dict[str, Any], vocabulary: Any) -> Any:
    """As texts, without the tokens in front that stand for nothing or for what is unknown."""
    if not isinstance(vocabulary, list):
        return vocabulary
    special = {str(settings.get("mask_token", "")), str(settings.get("oov_token", "[UNK]")), ""}
    texts = [str(token) for token in vocabulary]
    first = next((at for at, token in enumerate(texts) if token not in special), len(texts))
    return texts[first:]


def _layers(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those of interest, in the order of the configuration."""
    if isinstance(config, dict):
        kind, settings = config.get("class_name"), config.get("config")
        if kind in _ARGUMENTS and isinstance(settings, dict):
            yield str(kind), settings
            return
        for value in config.values():
            yield from _layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from _layers(value)
