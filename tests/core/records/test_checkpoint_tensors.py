"""Host tensors: every dtype, every layout, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from multilearn.checkpoint import HostTensor
from multilearn.errors import CheckpointError


@pytest.mark.parametrize(
    ("numpy_name", "name"),
    [
        ("float64", "F64"),
        ("float32", "F32"),
        ("float16", "F16"),
        ("int64", "I64"),
        ("int32", "I32"),
        ("int16", "I16"),
        ("int8", "I8"),
        ("uint64", "U64"),
        ("uint32", "U32"),
        ("uint16", "U16"),
        ("uint8", "U8"),
        ("bool", "BOOL"),
    ],
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)])
def test_the_dtype_is_inferred_and_the_shape_kept(numpy_name, name, shape):
    array = np.ones(shape, numpy_name)
    tensor = HostTensor.of(array)
    assert (tensor.dtype, tensor.shape, tensor.nbytes) == (name, shape, array.nbytes)
    assert tensor.numpy().dtype == array.dtype
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_a_contiguous_array_is_not_copied():
    array = np.zeros((4, 4), np.float32)
    assert np.shares_memory(HostTensor.of(array).array, array)


def test_strided_transposed_and_big_endian_arrays_become_contiguous_and_little_endian():
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    for odd in (array.T, array[::-1, ::2], array.astype(">i4"), np.asfortranarray(array)):
        tensor = HostTensor.of(odd)
        assert tensor.array.flags.c_contiguous
        assert tensor.raw.tobytes() == odd.astype("<i4").tobytes()


def test_a_numpy_scalar_is_a_tensor_without_axes():
    assert HostTensor.of(np.float32(2)) == HostTensor("F32", np.array(2, "<f4"))


def test_bfloat16_travels_as_bits_and_is_widened_exactly():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    bits = np.arange(2**16, dtype=np.uint16)
    tensor = HostTensor.of(bits.view(ml_dtypes.bfloat16).reshape(256, 256))
    assert tensor == HostTensor("BF16", bits.reshape(256, 256))
    widened = tensor.numpy()
    assert (widened.dtype, widened.shape) == (np.float32, (256, 256))
    np.testing.assert_array_equal(widened.view(np.uint32).ravel(), bits.astype(np.uint32) * 65536)
    assert HostTensor.of(np.array(1.5, ml_dtypes.bfloat16)).numpy().tolist() == 1.5


def test_equality_is_by_dtype_shape_and_bytes():
    zero, nan = np.array([0.0], np.float32), np.array([np.nan], np.float32)
    other_nan = (nan.view(np.uint32) ^ np.uint32(1)).view(np.float32)
    assert HostTensor.of(nan) == HostTensor.of(nan.copy())
    assert hash(HostTensor.of(nan)) == hash(HostTensor.of(nan.copy()))
    assert HostTensor.of(nan) != HostTensor.of(other_nan)
    assert HostTensor.of(zero) != HostTensor.of(-zero)
    assert HostTensor.of(zero) != HostTensor.of(zero.reshape(1, 1))
    assert HostTensor.of(zero) != HostTensor.of(zero.astype(np.float64))
    assert HostTensor.of(zero) != HostTensor.of(zero.view(np.int32))
    assert HostTensor("BF16", np.zeros(1, np.uint16)) != HostTensor("U16", np.zeros(1, np.uint16))
    assert HostTensor.of(zero) != 0.0


@pytest.mark.parametrize("array", [np.zeros(1, complex), np.array(["a"]), np.array([object()]), np.zeros(1, "M8[s]")])
def test_other_dtypes_are_refused(array):
    with pytest.raises(CheckpointError, match="Convert it"):
        HostTensor.of(array)


def test_a_wrong_carrier_is_refused():
    for dtype, array in [("F32", np.zeros(1)), ("F8", np.zeros(1)), ("F32", np.zeros((2, 2), np.float32).T[:1])]:
        with pytest.raises(CheckpointError, match=r"HostTensor\.of"):
            HostTensor(dtype, array)
