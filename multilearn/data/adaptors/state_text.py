"""The state of another library's loader as text: plain data is restored as it was, anything else is refused."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import numpy as np

from multilearn.errors import ConfigurationError, RecordError

__all__ = ["from_text", "to_text"]


def to_text(state: Any) -> str:
    """JSON of nested dicts, lists and tuples of numbers, strings, bytes, None and arrays.

    Raises `ConfigurationError` for anything else: nothing is pickled.
    """
    return json.dumps(_plain(state, "state"))


def from_text(text: str) -> Any:
    """What `to_text` was given. Raises `RecordError` for a text that is not from there."""
    try:
        return _restored(json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            "The state of a loader must be as this version writes it.",
            received=f"{type(error).__name__}: {error}",
            remedy="Resume from the end of an epoch.",
        ) from error


def _plain(value: Any, path: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {"dict": [[_plain(key, path), _plain(each, f"{path}[{key!r}]")] for key, each in value.items()]}
    if isinstance(value, (list, tuple)):
        parts = [_plain(each, f"{path}[{place}]") for place, each in enumerate(value)]
        return parts if isinstance(value, list) else {"tuple": parts}
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.dtype != torch.bfloat16:
        return {"torch": _plain(value.detach().cpu().numpy(), path)}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
        array = np.asarray(value)
        return {"array": array.dtype.str, "shape": array.shape, **_plain(array.tobytes(), path)}
    raise ConfigurationError(
        "The state of a loader must be plain data to be saved: numbers, strings, bytes, arrays, lists and dicts.",
        received=f"{type(value).__name__} in {path}",
        remedy="Have its state_dict return such data, or train without a checkpointer.",
    )


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        content = base64.b64decode(value["bytes"])
        return np.frombuffer(content, np.dtype(value["array"])).reshape(value["shape"]).copy()
    if "bytes" in value:
        return base64.b64decode(value["bytes"])
    if "tuple" in value:
        return tuple(_restored(each) for each in value["tuple"])
    if "torch" in value:
        array = _restored(value["torch"])
        torch = sys.modules.get("torch")
        return array if torch is None else torch.from_numpy(array)
    return {_restored(key): _restored(each) for key, each in value["dict"]}
