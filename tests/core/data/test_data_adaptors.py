"""What yields batches without being a loader: lists, generators, and what can save its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.checkpoint import KeepLast
from multilearn.data import Batches, as_loader, length, place_of
from multilearn.data.adaptors.iterable import from_text, to_text
from multilearn.data.arrays import hosted
from multilearn.errors import ConfigurationError, DataError, RecordError
from multilearn.events import Started
from multilearn.protocols import Loader

COUNT = 4


def batch(number: int) -> Any:
    x, y = toy.arrays(32)
    return x[8 * number : 8 * number + 8], y[8 * number : 8 * number + 8]


def generated() -> Iterator[Any]:
    yield from map(batch, range(COUNT))


class Repeated:
    """Goes through the same batches each time, and knows how many there are."""

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[Any]:
        return generated()


class Stream:
    """Goes on from epoch to epoch through batches that never come again; `state_dict` says where it is."""

    def __init__(self, at: Callable[[int], object] = lambda position: None) -> None:
        self.position = 0
        self._at = at

    def __iter__(self) -> Iterator[Any]:
        while True:
            self._at(self.position)
            x, y = batch(self.position % COUNT)
            self.position += 1
            yield x + np.float32(0.01 * self.position), y
            if self.position % COUNT == 0:
                return

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]


class Places:
    """As Grain's: the iterator has the state, and each begins at the beginning."""

    def __init__(self, at: Callable[[int], object] = lambda position: None) -> None:
        self._at = at

    def __iter__(self) -> Iterator[Any]:
        return _Place(self._at)


class _Place:
    def __init__(self, at: Callable[[int], object]) -> None:
        self._next, self._at = 0, at

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._next == COUNT:
            raise StopIteration
        self._at(self._next)
        self._next += 1
        return batch(self._next - 1)

    def get_state(self) -> bytes:
        return json.dumps({"next": self._next}).encode()

    def set_state(self, state: bytes) -> None:
        self._next = json.loads(state)["next"]


class Numbered:
    """As Grain's `MapDataset`: its batches have numbers, which go on from epoch to epoch; it has no state to save."""

    def __init__(self, at: Callable[[int], object] = lambda position: None) -> None:
        self._at = at

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, number: int) -> Any:
        self._at(number)
        x, y = batch(number % COUNT)
        return x + np.float32(0.01 * number), y

    def to_iter_dataset(self) -> Any:
        raise NotImplementedError


class Epochs(Repeated):
    """Its order is a function of the epoch that it was told."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        return iter(np.roll(np.arange(COUNT), self.epoch)[:, None])


def assert_equal(batches: Any, expected: Any) -> None:
    for one, other in zip(batches, expected, strict=True):
        assert isinstance(one, tuple) and len(one) == len(other)
        for array, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize(
    "make", [lambda: [*generated()], lambda: generated, Repeated, Places], ids=["list", "function", "object", "loader"]
)
def test_what_can_be_gone_through_again_is_a_loader(make: Callable[[], Any]) -> None:
    loader = as_loader(make(), "training")
    assert isinstance(loader, Loader)
    for epoch in (1, 2):
        assert_equal(loader.iterate(0, epoch), generated())
        assert_equal(loader.iterate(0, epoch, 3), [batch(3)])


def test_the_length_is_known_where_the_source_knows_it() -> None:
    assert length(as_loader(Repeated(), "training")) == COUNT
    assert length(as_loader([1, 2], "training")) == 2
    assert length(as_loader(generated, "training")) is None
    assert length(as_loader(Places(), "training")) is None


@pytest.mark.parametrize(
    "make", [generated, Stream, lambda: iter([*generated()])], ids=["generator", "stream", "iterator"]
)
def test_a_look_at_the_first_batch_takes_it_from_nobody(make: Callable[[], Any]) -> None:
    loader = as_loader(make(), "training")
    for _ in range(3):
        look = loader.iterate(0, 1)
        next(look)
        look.close()
    seen = list(loader.iterate(0, 1))
    assert [labels.tolist() for _, labels in seen] == [labels.tolist() for _, labels in generated()]


def test_a_generator_lasts_for_one_epoch_and_a_function_that_makes_it_for_all(tmp_path: Path) -> None:
    expected = toy.fit(toy.builder(tmp_path / "list"), [*generated()])
    toy.fit(toy.builder(tmp_path / "one", 1), generated())
    made = toy.fit(toy.builder(tmp_path / "made"), generated)
    assert toy.weights(made) == toy.weights(expected)
    learner = toy.build(toy.builder(tmp_path / "two", 2))
    with pytest.raises(DataError, match=r"used up after one epoch.*2 epochs.*without calling it"):
        learner.fit(generated())
    assert not (tmp_path / "two").exists()


def test_the_number_of_batches_may_be_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = toy.Recorded()
    described = toy.builder(tmp_path / "run", 2).metric_loggers(recorded).renderer(ml.renderers.CliRenderer())
    toy.fit(described, generated, generated)
    (started,) = recorded.of(Started)
    assert set(started.batches.values()) == {None}
    assert "2/2" in capsys.readouterr().out


def test_a_loader_that_counts_epochs_is_told_which_one_it_is() -> None:
    loader = as_loader(Epochs(), "training")
    for epoch in (1, 3, 2):
        assert [int(b[0]) for b in loader.iterate(0, epoch)] == np.roll(np.arange(COUNT), epoch).tolist()


def test_batches_that_are_kept_in_a_list_are_not_written_into() -> None:
    batches = [np.arange(3), np.arange(3)]
    for each in Batches(batches).iterate(0, 1):
        each[:] = -1
    assert [b.tolist() for b in batches] == [[0, 1, 2]] * 2


def test_lists_in_batches_are_columns_or_numbers() -> None:
    x, y = hosted([np.zeros((2, 3)), [1, 2]])
    assert x.shape == (2, 3) and y.tolist() == [1, 2]
    nested = hosted({"x": [np.zeros(2), np.ones(2)], "y": [[1, 2], [3, 4]], "z": None})
    assert isinstance(nested["x"], list) and nested["y"].shape == (2, 2) and nested["z"] is None


def stopped_and_resumed(directory: Path, make: Callable[..., Any], stop_at: int, epochs: int = 3) -> ml.Learner:
    """A run that is stopped when its `stop_at`-th batch is asked for, and what goes on from there in a new loader."""
    interrupter = ml.Interrupter()
    asked = iter(range(1000))
    source = make(lambda _: next(asked) == stop_at and toy.stop(interrupter, "enough"))
    described = toy.builder(directory, epochs).with_checkpointing_strategy(KeepLast(100))
    toy.fit(described.with_interrupter(interrupter), source)
    return toy.fit(described.checkpoint("latest"), make())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Any]:
    """The directory of a whole run over a source, and the weights that it ended with; each is trained once."""

    @cache
    def trained(make: Any) -> tuple[Path, Any]:
        directory = tmp_path_factory.mktemp("whole") / "run"
        described = toy.builder(directory).with_checkpointing_strategy(KeepLast(100))
        return directory, toy.weights(toy.fit(described, make()))

    return trained


@pytest.mark.parametrize("make", [Stream, Places, Numbered])
@pytest.mark.parametrize("stop_at", [2, 3, 4, 9])
def test_a_loader_with_a_state_or_numbers_goes_on_from_it_bit_for_bit(
    tmp_path: Path, uninterrupted: Callable[[Any], Any], make: Any, stop_at: int
) -> None:
    whole, expected = uninterrupted(make)
    learner = stopped_and_resumed(tmp_path / "run", make, stop_at)
    assert toy.weights(learner) == expected
    assert toy.metric_files(tmp_path / "run") == toy.metric_files(whole)
    assert toy.checkpoint_files(tmp_path / "run").items() >= toy.checkpoint_files(whole).items()


def test_what_cannot_go_on_inside_an_epoch_says_so_at_fit_and_is_refused_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def make(at: Callable[[int], object] = lambda number: None) -> Any:
        def batches() -> Iterator[Any]:
            for number in range(COUNT):
                at(number)
                yield batch(number)

        return batches

    with pytest.raises(ConfigurationError, match=r"must be able to start there.*checkpoint 1\.\d.*end of an epoch"):
        stopped_and_resumed(tmp_path / "run", make, 1)
    assert caplog.text.count("cannot be resumed inside an epoch") == 1
    caplog.clear()
    quiet = ml.LearnerBuilder(tmp_path / "quiet").renderer(ml.renderers.SilentRenderer())
    toy.fit(quiet, generated)
    assert "inside an epoch" not in caplog.text


def test_a_run_whose_checkpoint_has_no_place_for_a_loader_with_a_state_is_refused_inside_an_epoch(
    tmp_path: Path,
) -> None:
    def make(at: Callable[[int], object] | None = None) -> Any:
        return Stream() if at is None else toy.Watched(toy.train_loader(), lambda _, number: at(number))

    with pytest.raises(ConfigurationError, match="has no state of a loader"):
        stopped_and_resumed(tmp_path / "run", make, 3)


def test_a_state_that_cannot_be_saved_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Odd(Stream):
        def state_dict(self) -> Any:
            return {"position": [self]}

    with pytest.raises(ConfigurationError, match=r"plain data.*Received: Odd in state\['position'\]\[0\]"):
        toy.fit(toy.builder(tmp_path / "run"), Odd())
    assert not (tmp_path / "run").exists()
    toy.fit(ml.LearnerBuilder(tmp_path / "run").renderer(ml.renderers.SilentRenderer()), Odd())


def test_only_loaders_with_a_state_have_one_in_a_record() -> None:
    loader = as_loader(Stream(), "training")
    batches = loader.iterate(0, 1)
    next(batches)
    assert place_of(loader, 1) == {"batch": 1, "ended": False, "state": to_text({"position": 1})}
    for stateless in (toy.train_loader(), Batches([1]), as_loader(generated, "training")):
        assert place_of(stateless, 1) is None


STATE = {
    "a": [1, -(2**100), 1.5, float("inf"), True, None, "text", b"\x00\xff"],
    3: (1, (2, [3])),
    "array": {"dict": 1, "bytes": 2, "tuple": []},
    "": {},
}


def test_plain_states_come_back_as_they_were() -> None:
    back = from_text(to_text(STATE))
    assert back == STATE
    assert [type(each) for each in back["a"]] == [type(each) for each in STATE["a"]]
    assert isinstance(back[3], tuple) and isinstance(back[3][1][1], list)
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    again = from_text(to_text({"x": array}))["x"]
    assert again.dtype == array.dtype and again.tolist() == array.tolist() and again.flags.writeable


@pytest.mark.parametrize(
    "state", [{1, 2}, object(), np.array([None]), {"f": len}], ids=["set", "object", "array", "function"]
)
def test_a_state_that_is_no_plain_data_is_refused(state: Any) -> None:
    with pytest.raises(ConfigurationError, match="plain data"):
        to_text(state)


@pytest.mark.parametrize("text", ["", "{}", "{", '{"array": "O", "shape": [1], "bytes": ""}', '{"dict": [1]}'])
def test_a_text_that_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="state of a loader"):
        from_text(text)
