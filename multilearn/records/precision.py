"""Floats in half the space: `convert` exports them so, and records of earlier versions may hold them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from multilearn.printable import printable
from multilearn.records.tensors import DTYPES, HostTensor

__all__ = ["WIDER", "halved", "widened"]

_log = logging.getLogger(__name__)

WIDER = ("F32", "F64")
"""The dtypes that are halved to F16, rounded to 11 bits."""


def halved(value: Any, path: str = "") -> Any:
    """A record with its F32 and F64 tensors as F16; one with values beyond 65504 stays as it is, with a warning."""
    if isinstance(value, Mapping):
        return {key: halved(inner, f"{path}/{key}" if path else key) for key, inner in value.items()}
    if isinstance(value, list):
        return [halved(inner, f"{path}/{at}") for at, inner in enumerate(value)]
    if not isinstance(value, HostTensor) or value.dtype not in WIDER:
        return value
    with np.errstate(over="ignore"):
        array = np.asarray(value.array.astype(DTYPES["F16"]), order="C")
    if (np.isinf(array) & np.isfinite(value.array)).any():
        _log.warning(
            "%s has values beyond 65504, the largest of half precision: it is stored in full.", printable(path)
        )
        return value
    return HostTensor("F16", array)


def widened(tensor: HostTensor, dtype: str) -> HostTensor:
    """A halved tensor as the wider float that it was; values are kept."""
    return HostTensor(dtype, np.asarray(tensor.array.astype(DTYPES[dtype]), order="C"))
