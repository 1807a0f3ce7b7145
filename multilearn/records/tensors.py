"""Tensors on the host: what a record holds of a model and its optimizer."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from multilearn.errors import CheckpointError
from multilearn.printable import printable

__all__ = ["AXES", "DTYPES", "WIDER", "HostTensor", "halved", "widened"]

DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "F64": np.dtype("<f8"),
        "F32": np.dtype("<f4"),
        "F16": np.dtype("<f2"),
        "BF16": np.dtype("<u2"),
        "I64": np.dtype("<i8"),
        "I32": np.dtype("<i4"),
        "I16": np.dtype("<i2"),
        "I8": np.dtype("i1"),
        "U64": np.dtype("<u8"),
        "U32": np.dtype("<u4"),
        "U16": np.dtype("<u2"),
        "U8": np.dtype("u1"),
        "BOOL": np.dtype("?"),
    }
)
"""The dtypes of a record, named as safetensors does, and what carries them: bfloat16 travels as its 16 bits."""

AXES = 64
"""How many axes a tensor may have, as many as numpy knows."""

WIDER = ("F32", "F64")
"""The dtypes that are halved to F16, rounded to 11 bits."""

_log = logging.getLogger(__name__)

_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}


@dataclass(frozen=True, eq=False, repr=False)
class HostTensor:
    """A tensor on the host: `array` is C-contiguous and little-endian, `dtype` one of `DTYPES`.

    Two are equal if dtype, shape and every byte are: NaN equals the same NaN, -0.0 is not 0.0.
    The array is shared with its maker, and not to be changed.
    """

    dtype: str
    array: npt.NDArray[Any]

    def __post_init__(self) -> None:
        carrier = DTYPES.get(self.dtype)
        if carrier is None or self.array.dtype != carrier or not self.array.flags.c_contiguous:
            order = "" if self.array.flags.c_contiguous else ", not contiguous"
            raise CheckpointError(
                "A host tensor holds a C-contiguous, little-endian array of the dtype that it names.",
                received=f"{self.dtype} with an array of {self.array.dtype.str}{order}",
                remedy="Make it with HostTensor.of(array).",
            )

    @classmethod
    def of(cls, array: npt.NDArray[Any] | np.generic) -> HostTensor:
        """The tensor with the values of `array`, which is copied only if it is not contiguous and little-endian.

        Raises `CheckpointError` for a dtype that records do not know (complex numbers, text, objects).
        """
        ordered = np.asarray(array, order="C")
        if ordered.dtype.name == "bfloat16":
            bits = ordered.view(np.uint16)
            return cls("BF16", bits if sys.byteorder == "little" else bits.astype("<u2"))
        little = ordered.dtype.newbyteorder("<")
        name = _NAMES.get(little)
        if name is None:
            raise CheckpointError(
                "A record holds tensors of floats, integers and bools.",
                received=f"dtype {ordered.dtype}",
                remedy=f"Convert it to one of {', '.join(DTYPES)}.",
            )
        return cls(name, ordered.astype(little, order="C", copy=False))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    @property
    def raw(self) -> npt.NDArray[np.uint8]:
        """Its bytes, flat, without a copy."""
        return self.array.reshape(self.array.size).view(np.uint8)

    def numpy(self) -> npt.NDArray[Any]:
        """Its values; bfloat16, which numpy does not know, is widened to float32, exactly."""
        if self.dtype != "BF16":
            return self.array
        wide = self.array.reshape(self.array.size).astype("<u4") << np.uint32(16)
        return wide.view("<f4").reshape(self.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HostTensor):
            return NotImplemented
        same_kind = self.dtype == other.dtype and self.shape == other.shape
        return same_kind and np.array_equal(self.raw, other.raw)

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape, self.raw[:64].tobytes()))

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"

    def __repr__(self) -> str:
        return f"HostTensor({self})"


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
