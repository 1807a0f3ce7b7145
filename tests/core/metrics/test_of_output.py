"""A metric of one output among several."""

from __future__ import annotations

import numpy as np
import pytest

from multilearn.errors import ConfigurationError
from multilearn.metrics import Accuracy, Loss, NumpyOps, OfOutput
from multilearn.outputs import ClassificationOutput, SeveralOutputs
from multilearn.protocols import Output

LOGITS = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [0.0, 3.0]], "float32")
KIND = ClassificationOutput(np.float32(0.25), 4, LOGITS, np.array([0, 1, 1, 1], "int32"))
OUTPUT = SeveralOutputs(np.float32(9.0), 4, {"kind": KIND, "size": Output(np.float32(2.0), 4)})


def value(metric: OfOutput, output: Output) -> float | str:
    measured = {name: np.asarray(leaf) for name, leaf in metric.measure(NumpyOps(), output).items()}
    return metric.entry(metric.merge(metric.merge(None, measured), measured)).value


def test_it_measures_one_output_and_says_so_in_its_name() -> None:
    accuracy = OfOutput("kind", Accuracy())
    assert (accuracy.name, accuracy.unit, accuracy.numeric) == ("kind Accuracy", "share", True)
    assert value(accuracy, OUTPUT) == 0.75
    assert value(OfOutput("kind", Loss()), OUTPUT) == 0.25
    assert value(OfOutput("size", Loss()), OUTPUT) == 2.0


def test_it_is_plain_data() -> None:
    metric = OfOutput("kind", Loss())
    assert eval(repr(metric)) == metric == OfOutput("kind", Loss())
    assert metric != OfOutput("size", Loss())


def test_what_has_no_such_output_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"called 'colour'.*'kind', 'size'"):
        value(OfOutput("colour", Accuracy()), OUTPUT)
    with pytest.raises(ConfigurationError, match=r"several outputs by name.*ClassificationOutput.*Accuracy itself"):
        value(OfOutput("kind", Accuracy()), KIND)
    with pytest.raises(ConfigurationError, match="name of an output and a metric"):
        OfOutput("kind", Accuracy)


def test_a_metric_that_has_nothing_to_say_of_a_value_stays_silent() -> None:
    class Silent(Loss):
        def caution(self, state: object) -> None:
            return None

    assert OfOutput("kind", Silent()).caution({}) is None
    assert OfOutput("kind", Loss()).caution({}) is None
