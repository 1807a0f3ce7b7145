"""Perplexity and error rates against SciPy, scikit-learn and a recursion that tries everything."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.metrics import log_loss
from support.metric_epochs import OPS, classified, over, pieces

from multilearn.errors import ConfigurationError
from multilearn.metrics import CharErrorRate, Entry, Perplexity, WordErrorRate
from multilearn.metrics.error_rates import edit_distances
from multilearn.outputs import ClassificationOutput, RegressionOutput
from multilearn.protocols import Output

CLASSES = 5


def said(predicted: Any, targets: Any, weights: Any = None) -> ClassificationOutput:
    """Logits whose largest entries are the predicted ids."""
    return classified(np.eye(30)[np.asarray(predicted)], targets, weights)


# --- perplexity -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.sets(st.integers(1, 19)), st.sampled_from([1.0, 300.0]))
def test_perplexity_is_that_of_all_tokens_however_the_items_are_split(
    seed: int, items: int, cuts: set[int], scale: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(items, 4, CLASSES))).astype(np.float32)
    targets = rng.integers(0, CLASSES, (items, 4))
    kept = targets != 0
    likelihoods = np.take_along_axis(log_softmax(logits.astype(np.float64), -1), targets[..., None], -1)[..., 0]
    found = over(Perplexity(ignore_index=0), pieces(classified(logits, targets), cuts))
    once = over(Perplexity(ignore_index=0), [classified(logits, targets)])
    weighted = over(Perplexity(), pieces(classified(logits, targets, kept), cuts))
    assert found.value == pytest.approx(once.value, rel=1e-11, nan_ok=True)
    assert weighted.value == pytest.approx(once.value, rel=1e-11, nan_ok=True)
    with np.errstate(over="ignore"):
        expected = float(np.exp(-likelihoods[kept].mean())) if kept.any() else math.nan
    assert found.value == pytest.approx(expected, rel=1e-5 * scale, nan_ok=True)


def test_perplexity_of_probabilities_is_that_of_scikit_learn() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])
    found = over(Perplexity(), [classified(probabilities, [0, 2, 0], from_logits=False)])
    assert found == Entry(pytest.approx(math.exp(log_loss([0, 2, 0], probabilities, labels=[0, 1, 2])), rel=1e-6))


def test_a_model_that_knows_nothing_is_undecided_among_all_classes() -> None:
    assert over(Perplexity(), [classified(np.zeros((3, 7)), [0, 3, 6])]).value == pytest.approx(7, rel=1e-6)


def test_perplexity_of_the_impossible_is_infinite_and_of_nothing_or_no_class_not_a_number() -> None:
    certain = [[0.0, 1.0]]
    assert over(Perplexity(), [classified(certain, [0], from_logits=False)]).value == math.inf
    assert over(Perplexity(), [classified([[0.0, 5000.0]], [0])]).value == math.inf
    assert math.isnan(float(over(Perplexity(ignore_index=1), [classified(certain, [1])]).value))
    assert math.isnan(float(over(Perplexity(), [classified([[0.0, 1.0]], [-1])]).value))


def test_masked_logits_and_ids_of_padding_do_no_harm() -> None:
    logits = [[[0.0, -np.inf, 0.0], [np.nan, np.nan, np.nan]]]
    assert over(Perplexity(ignore_index=-100), [classified(logits, [[2, -100]])]).value == pytest.approx(2, rel=1e-6)


# --- edits ------------------------------------------------------------------------------------------------------------


def by_recursion(reference: tuple[Any, ...], hypothesis: tuple[Any, ...]) -> int:
    """The definition, with every way tried."""

    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        replaced = distance(i - 1, j - 1) + (reference[i - 1] != hypothesis[j - 1])
        return min(replaced, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(reference), len(hypothesis))


PAIRS = st.lists(
    st.tuples(st.lists(st.integers(0, 3), max_size=9), st.lists(st.integers(0, 3), max_size=9)), max_size=5
)


@given(PAIRS)
def test_distances_are_those_of_the_recursion(pairs: list[tuple[list[int], list[int]]]) -> None:
    references, hypotheses = ([np.array(pair[k], np.int64) for pair in pairs] for k in (0, 1))
    assert edit_distances(references, hypotheses).tolist() == [by_recursion(tuple(a), tuple(b)) for a, b in pairs]


def test_kitten_becomes_sitting_in_three_edits() -> None:
    words = [np.frombuffer(word.encode(), np.uint8) for word in ("kitten", "sitting")]
    assert edit_distances(words[:1], words[1:]).tolist() == [3]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sets(st.integers(1, 8)))
def test_error_rates_are_of_all_sequences_however_they_are_split(seed: int, items: int, cuts: set[int]) -> None:
    rng = np.random.default_rng(seed)
    predicted, targets = rng.integers(0, 4, (2, items, 8))
    weights = rng.integers(0, 2, (items, 8))
    expected = {"chars": [0, 0], "words": [0, 0]}
    for row in range(items):
        kept = [
            [int(x) for x, w in zip(ids[row], weights[row], strict=True) if w and x] for ids in (targets, predicted)
        ]
        # 0 is padding, 1 stands between words
        words = ["".join(map(str, ids)).split("1") for ids in kept]
        words = [[word for word in each if word] for each in words]
        for name, (reference, hypothesis) in (("chars", kept), ("words", words)):
            expected[name][0] += by_recursion(tuple(reference), tuple(hypothesis))
            expected[name][1] += len(reference)
    split = pieces(said(predicted, targets, weights), cuts)
    for metric, name in ((CharErrorRate(padding=0), "chars"), (WordErrorRate(padding=0, separator=1), "words")):
        edits, total = expected[name]
        assert over(metric, split) == Entry(pytest.approx(edits / total if total else math.nan, nan_ok=True), total)
    words, chars = (over(kind(padding=0), split) for kind in (WordErrorRate, CharErrorRate))
    assert words == Entry(pytest.approx(chars.value, nan_ok=True), chars.count)


def test_padding_is_taken_out_of_both_sides_and_a_rate_may_be_above_one() -> None:
    assert over(CharErrorRate(padding=9), [said([[9, 1, 2, 9]], [[1, 2, 9, 9]])]) == Entry(0.0, 2)
    assert over(CharErrorRate(padding=9), [said([[3, 4, 5, 6]], [[1, 9, 9, 9]])]) == Entry(4.0, 1)
    assert over(CharErrorRate(), [said([[9, 1]], [[1, 9]])]) == Entry(1.0, 2)


def test_sequences_of_padding_alone_count_nothing() -> None:
    nothing = said([[1, 2]], [[0, 0]], [[0, 0]])
    for metric in (CharErrorRate(), WordErrorRate(separator=1)):
        assert over(metric, [nothing]) == Entry(pytest.approx(math.nan, nan_ok=True), 0)
        assert over(metric, [said([[2, 3]], [[2, 3]]), nothing]).value == 0.0


def test_hundreds_of_tokens_in_a_batch_are_counted() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(1, 20, (16, 300))
    predicted = np.where(rng.random((16, 300)) < 0.1, 0, targets)
    # padding in the prediction is a deletion
    expected = (predicted == 0).sum() / targets.size
    assert over(CharErrorRate(padding=0), [said(predicted, targets)]).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "output", "says"),
    [
        (CharErrorRate(), said([1, 2], [1, 2]), "sequences"),
        (WordErrorRate(), RegressionOutput(0, 1, np.zeros(1), np.zeros(1)), "Classification"),
        (Perplexity(), RegressionOutput(0, 1, np.zeros(1), np.zeros(1)), "Classification"),
    ],
)
def test_what_has_no_tokens_is_refused_with_the_remedy(metric: Any, output: Output, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        metric.measure(OPS, output)


@pytest.mark.parametrize("make", [lambda v: Perplexity(v), lambda v: CharErrorRate(v), lambda v: WordErrorRate(0, v)])
@pytest.mark.parametrize("value", [1.5, "0", True])
def test_an_id_that_is_no_whole_number_is_refused(make: Any, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number"):
        make(value)
