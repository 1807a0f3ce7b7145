"""Records of every kind of value, for property tests."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as npst
from hypothesis import strategies as st

from multilearn.checkpoint import HostTensor
from multilearn.records.tensors import DTYPES

tensors = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: st.builds(
        HostTensor,
        st.just(name),
        npst.arrays(DTYPES[name], npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)),
    )
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=40),
)
keys = st.text(max_size=6) | st.sampled_from(
    ["$", "$tensor", "$$tensor", "a/b", "%2F", "%", "", "0", "é", "__metadata__"]
)
values = st.recursive(
    plain | tensors, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)
)
records = st.dictionaries(keys.filter(lambda key: key != "__metadata__"), values, max_size=4)


def types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: types(each) for key, each in value.items()}
    return [types(each) for each in value] if isinstance(value, list) else type(value)
