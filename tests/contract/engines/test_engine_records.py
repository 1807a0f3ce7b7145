"""What an engine records is a copy; what it is given back is checked as a whole first."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.training import assert_equal, chunks, engine_of, ids, numbers, train, twins

from multilearn.checkpoint import HostTensor
from multilearn.errors import RecordMismatch
from multilearn_keras import Classification
from multilearn_keras.state.keys import flatten

DATA = (numbers(40, 4), ids(3, 40))
BATCHES = chunks(DATA, 8)


def model() -> keras.Model:
    between = layers.Dense(6), layers.BatchNormalization(momentum=0.5), layers.Dropout(0.3)
    return keras.Sequential([keras.Input((4,)), *between, layers.Dense(3)])


def contents(record: dict[str, Any]) -> dict[str, bytes]:
    tensors = flatten({part: record[part] for part in ("model", "optim")})
    return {key: tensor.array.tobytes() for key, tensor in tensors.items()}


def engine(trained: keras.Model, optimizer: Any = None) -> Any:
    return engine_of(Classification(trained), optimizer or optimizers.Adam(), BATCHES[0])


def test_a_record_stays_as_it_was_while_training_goes_on_also_where_it_was_restored() -> None:
    ours = engine(twins(model)[0])
    train(ours, BATCHES[:2], 0.01)
    record = ours.record()
    before = contents(record)
    for _ in range(2):
        train(ours, BATCHES, 0.01)
        assert contents(record) == before
        assert contents(ours.record()) != before
        ours.restore(record)
    ours.release()


def test_a_model_built_again_in_the_process_goes_on_bit_for_bit() -> None:
    first, second = model(), model()  # other weights, other names
    assert first.layers[0].name != second.layers[0].name
    one, two = engine(first), engine(second)
    train(one, BATCHES[:3], 0.01)
    record = one.record()
    expected = train(one, BATCHES[3:], 0.01)
    train(two, BATCHES[:1], 0.1)
    two.restore(record)
    assert contents(two.record()) == contents(record)
    assert train(two, BATCHES[3:], 0.01) == expected
    assert contents(two.record()) == contents(one.record())
    one.release()
    two.release()
    assert_equal(first, second)


def test_a_step_count_too_large_for_the_framework_changes_nothing() -> None:
    optimizer = optimizers.Adam()
    ours = engine(twins(model)[0], optimizer)
    record, before = ours.record(), contents(ours.record())
    kernel = record["model"]["layers"]["dense.0"]["kernel"].array
    record["model"]["layers"]["dense.0"]["kernel"] = HostTensor.of(kernel + 1)
    record["optim"]["iterations"] = HostTensor.of(np.array(2**40))
    if keras.backend.standardize_dtype(optimizer.iterations.value.dtype) == "int64":
        ours.restore(record)
        assert contents(ours.record()) == contents(record)
    else:
        with pytest.raises(RecordMismatch, match="int32"):
            ours.restore(record)
        assert contents(ours.record()) == before
