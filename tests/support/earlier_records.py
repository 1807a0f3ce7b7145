"""Records in half precision, as recorders of earlier versions wrote them for a model."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np

from multilearn.checkpoint import Contents, Recorder, nbytes
from multilearn.records.tensors import halved

_WIDER = {"F32": np.float32, "F64": np.float64}


class HalfRecorder:
    """Writes models in half precision, in the format of `recorder`, and all else as that does."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.extension = recorder.extension

    def write(self, file: Any, item: Mapping[str, Any], metadata: Mapping[str, Any]) -> int:
        if metadata.get("part", "model") != "model":
            return self._recorder.write(file, item, metadata)
        whole = self._written(item, metadata)
        if self.extension == "safetensors":
            file.write(_safetensors(whole, self._written(halved(item), metadata)))
        else:
            packed = _msgpack(gzip.decompress(whole) if self.extension.endswith("gz") else whole)
            file.write(gzip.compress(packed, 1) if self.extension.endswith("gz") else packed)
        return nbytes(item)

    def read(self, file: Any, limit: int) -> Contents:
        return self._recorder.read(file, limit)

    def _written(self, item: Mapping[str, Any], metadata: Mapping[str, Any]) -> bytes:
        self._recorder.write(file := io.BytesIO(), item, metadata)
        return file.getvalue()


def _msgpack(whole: bytes) -> bytes:
    def narrowed(value: Any) -> Any:
        if isinstance(value, list):
            return [narrowed(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"dtype", "shape", "bytes"} and value["dtype"] in _WIDER:
            with np.errstate(over="ignore"):
                content = np.frombuffer(value["bytes"], _WIDER[value["dtype"]]).astype(np.float16).tobytes()
            return {"dtype": "F16", "was": value["dtype"], "shape": value["shape"], "bytes": content}
        return {key: narrowed(inner) for key, inner in value.items()}

    content = msgpack.unpackb(whole)
    content["metadata"]["precision"] = "half"
    return msgpack.packb({"metadata": content["metadata"], "item": narrowed(content["item"])})


def _safetensors(whole: bytes, half: bytes) -> bytes:
    """The tensors of the one, described as those of the other."""
    length = int.from_bytes(half[:8], "little")
    header, described = (json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]) for data in (half, whole))
    texts = described["__metadata__"]
    metadata = {**json.loads(texts["metadata"]), "precision": "half"}
    text = json.dumps({**header, "__metadata__": {**texts, "metadata": json.dumps(metadata)}}).encode()
    return len(text).to_bytes(8, "little") + text + half[8 + length :]
