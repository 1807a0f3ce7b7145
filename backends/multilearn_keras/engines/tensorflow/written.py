"""The variables of TensorFlow that a step writes into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_callbacks

from multilearn_keras.state.assignments import Assigned, place

__all__ = ["resources_written"]

_WRITING = ("Assign", "ResourceApply", "ResourceScatter", "ResourceSparseApply", "ResourceStridedSliceAssign")


@contextmanager
def resources_written() -> Iterator[list[tuple[Any, Assigned]]]:
    """Meanwhile, the variables of TensorFlow that operations write into, run or traced: their handles, each once."""
    listed: list[tuple[Any, Assigned]] = []

    def seen(kind: Any, inputs: Any, attrs: Any, outputs: Any, op_name: Any = None, graph: Any = None) -> None:
        if not tf.compat.as_str(kind).startswith(_WRITING) or not inputs:
            return
        handle = _outermost(inputs[0])
        if handle is not None and not any(handle is each for each, _ in listed):
            listed.append((handle, Assigned(_described(handle), place())))

    op_callbacks.add_op_callback(seen)
    try:
        yield listed
    finally:
        op_callbacks.remove_op_callback(seen)


def _outermost(handle: Any) -> Any:
    """What a handle inside of graphs stands for outside of all of them; None if it is made inside."""
    while not isinstance(handle, tf.__internal__.EagerTensor):
        captures = getattr(getattr(handle, "graph", None), "captures", ())
        handle = next((outside for outside, inside in captures if inside is handle), None)
        if handle is None:
            return None
    return handle


def _described(handle: Any) -> str:
    data = handle._handle_data
    of = data.shape_and_type[0] if data is not None and data.is_set else None
    shape = "" if of is None else f" {tuple(dim.size for dim in of.shape.dim)} {tf.as_dtype(of.dtype).name}"
    return f"a tf.Variable{shape}, no keras.Variable"
