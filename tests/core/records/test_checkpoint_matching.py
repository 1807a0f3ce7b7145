"""Whether a record fits: every difference in one list."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from multilearn.checkpoint import HostTensor, MpkGzRecorder, differences, nbytes, require_match
from multilearn.errors import RecordMismatch


def tensor(*shape, dtype=np.float32):
    return HostTensor.of(np.zeros(shape, dtype))


def test_every_difference_has_a_line_with_its_path():
    expected = {
        "layers": {
            "dense.0": {"kernel": tensor(8, 16), "bias": tensor(16)},
            "dense.1": {"kernel": tensor(16, 2), "bias": tensor(2)},
            "dropout": {"seed": tensor(2, dtype=np.uint32)},
        },
        "steps": [tensor(1), tensor(2)],
    }
    received = {
        "layers": {
            "dense.0": {"kernel": tensor(8, 15), "bias": tensor(16, dtype=np.float16)},
            "dropout": {"seed": 3},
            "norm": {"gamma": tensor(2)},
        },
        "steps": [tensor(1), tensor(3)],
        "more": None,
    }
    assert differences(expected, received) == [
        "layers/dense.0/kernel: expected F32 (8, 16), received F32 (8, 15)",
        "layers/dense.0/bias: expected F32 (16,), received F16 (16,)",
        "layers/dense.1: missing, expected a map of 2 tensors",
        "layers/dropout/seed: expected U32 (2,), received a plain int",
        "layers/norm: not expected, received a map of 1 tensor",
        "steps/1: expected F32 (2,), received F32 (3,)",
        "more: not expected, received None",
    ]


def test_equal_structure_fits_whatever_the_values():
    one = {"a": tensor(2), "best": None, "names": [], "inner": {"n": 1}}
    other = {"inner": {"n": 2.5}, "names": ["x"], "best": "3", "a": HostTensor.of(np.ones(2, np.float32))}
    assert differences(one, other) == []
    require_match(one, other, "the model")


@pytest.mark.parametrize(
    ("expected", "received", "line"),
    [
        ({"a": tensor()}, {"a": {"a": tensor()}}, "a: expected F32 (), received a map of 1 tensor"),
        ({"a": {"a": tensor()}}, {"a": tensor()}, "a: expected a map of 1 tensor, received F32 ()"),
        ({"a": 1}, {"a": tensor()}, "a: expected a plain int, received F32 ()"),
        ({"a": [tensor()]}, {"a": []}, "a: expected a list with 1 tensors, received a plain list"),
        ({"a": []}, {"a": [tensor()]}, "a: expected a plain list, received a list with 1 tensors"),
        ({"a": tensor(1)}, {"a": tensor()}, "a: expected F32 (1,), received F32 ()"),
    ],
)
def test_kinds_are_compared(expected, received, line):
    assert differences(expected, received) == [line]


def test_one_error_lists_all():
    with pytest.raises(RecordMismatch) as caught:
        require_match({"a": tensor(1), "b": tensor(2)}, {"a": tensor(2)}, "the model")
    for part in ("the model", "2 differences", "a: expected F32 (1,), received F32 (2,)", "b: missing"):
        assert part in str(caught.value)


def test_the_limit_is_above_the_encoding_and_not_far_above():
    item = {"a": tensor(500_000), "deep": {"er": {f"k{i}": tensor() for i in range(1000)}}, "text": "ä" * 1000}
    file = io.BytesIO()
    size = MpkGzRecorder().write(file, item, {"note": "x" * 1000})
    assert size == len(gzip.decompress(file.getvalue())) < nbytes(item) < 2 * size + (2 << 20)
