"""The floats of a model in half the space, where its values allow it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.printable import printable
from multilearn.records.tensors import DTYPES, HostTensor

__all__ = ["WIDER", "Precision", "applies", "as_stored", "check_precision", "narrowed", "widened"]

_log = logging.getLogger(__name__)

Precision = Literal["full", "half"]
"""`half`: F32 and F64 of a model are stored as F16, and read back as what they were, rounded to 11 bits."""

WIDER = ("F32", "F64")


def check_precision(precision: object) -> None:
    """Raise `ConfigurationError` for anything but `"full"` and `"half"`."""
    if precision not in get_args(Precision):
        raise ConfigurationError(
            'The precision of a recorder is "full" or "half".',
            received=repr(precision),
            remedy="Leave it out for full precision.",
        )


def applies(precision: Precision, metadata: Mapping[str, Any]) -> bool:
    """Whether a record is to be halved: a model's, or one that does not say what part it is; never another."""
    return precision == "half" and metadata.get("part", "model") == "model"


def as_stored(tensor: HostTensor, path: str) -> str:
    """The dtype to store a tensor in: F16 for a float that is wider, unless values in it would become infinite."""
    if tensor.dtype not in WIDER:
        return tensor.dtype
    if (np.isinf(narrowed(tensor, "F16").array) & np.isfinite(tensor.array)).any():
        _log.warning(
            "%s has values beyond 65504, the largest of half precision: it is stored in full.", printable(path)
        )
        return tensor.dtype
    return "F16"


def narrowed(tensor: HostTensor, dtype: str) -> HostTensor:
    """The tensor in the dtype that `as_stored` gave."""
    if dtype == tensor.dtype:
        return tensor
    with np.errstate(over="ignore"):  # where that matters, as_stored has found it
        return HostTensor(dtype, np.asarray(tensor.array.astype(DTYPES[dtype]), order="C"))


def widened(tensor: HostTensor, dtype: str) -> HostTensor:
    """The tensor as one of the wider floats again; values are kept."""
    if dtype == tensor.dtype:
        return tensor
    return HostTensor(dtype, np.asarray(tensor.array.astype(DTYPES[dtype]), order="C"))
