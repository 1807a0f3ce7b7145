"""Places in a run: how they are ordered and how they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.errors import ConfigurationError
from multilearn.events import START, Position

positions = st.builds(Position, st.integers(0, 10**6), st.none() | st.integers(1, 10**6))


def passed(epochs: int, batches: int) -> list[Position]:
    """Every position of a run, in the order in which it passes them."""
    order = [START]
    for epoch in range(1, epochs + 1):
        order += [Position(epoch, batch) for batch in range(1, batches + 1)]
        order.append(Position(epoch))
    return order


def test_positions_are_ordered_as_a_run_passes_them() -> None:
    order = passed(epochs=3, batches=4)
    for i, a in enumerate(order):
        for j, b in enumerate(order):
            assert (a < b, a <= b, a == b, a >= b, a > b) == (i < j, i <= j, i == j, i >= j, i > j)


def test_the_end_of_an_epoch_is_after_all_of_its_batches_and_before_the_next_epoch() -> None:
    shuffled = [Position(4, 1), Position(3), Position(3, 120), Position(10), Position(3, 400), Position(3, 9)]
    assert [str(p) for p in sorted(shuffled)] == ["3.9", "3.120", "3.400", "3", "4.1", "10"]


def test_only_complete_epochs_are_finished() -> None:
    written = {"0": 0, "1.5": 0, "1": 1, "3.120": 2, "3": 3}
    assert {text: Position.parse(text).finished_epochs for text in written} == written


@given(positions)
def test_what_is_written_is_read_back(position: Position) -> None:
    assert Position.parse(str(position)) == position


def test_positions_are_written_as_files_are_named() -> None:
    assert (str(Position(3)), str(Position(3, 120))) == ("3", "3.120")


@pytest.mark.parametrize(
    "text",
    ["", "latest", "-1", "+1", "03", "3.", ".3", "3.0", "3.01", "3.1.2", "3,1", " 3", "3\n", "1e3", "1_0", "٣", "²"],
)
def test_anything_else_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Position.parse(text)
    assert repr(text) in str(refused.value)


@given(st.text(max_size=12))
def test_no_two_texts_mean_the_same_position(text: str) -> None:
    try:
        position = Position.parse(text)
    except ConfigurationError:
        return
    assert str(position) == text


@pytest.mark.parametrize(("epoch", "batch"), [(-1, None), (2, 0), (2, -3)])
def test_there_is_no_place_before_the_first_epoch_or_the_first_batch_of_one(epoch: int, batch: int | None) -> None:
    with pytest.raises(ConfigurationError, match="are counted from 1"):
        Position(epoch, batch)
