"""Other libraries' loaders give the same batches whichever framework trains on them, and go on where they were."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from support.libraries import needs
from support.training import BACKEND, assert_equal, ids, learner, numbers, twins

from multilearn.data import as_loader, go_to, length, place_of
from multilearn.errors import ConfigurationError, DataError
from multilearn.events import Position
from multilearn.seeding.order import derived_seed

ITEMS, SIZE = 22, 4
X, Y = numbers(ITEMS, 3), np.arange(ITEMS, dtype="int32")


class Sequence(keras.utils.PyDataset):
    """Shuffles at the end of an epoch, as Keras' own documentation does it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.order = np.arange(ITEMS)

    def __len__(self) -> int:
        return -(-ITEMS // SIZE)

    def __getitem__(self, number: int) -> Any:
        items = self.order[SIZE * number : SIZE * number + SIZE]
        return X[items], Y[items]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)


def torch_loader(**options: Any) -> Any:
    torch = needs("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(data, SIZE, **{"shuffle": True, **options})


def tf_dataset() -> Any:
    tf = needs("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(ITEMS, seed=3).batch(SIZE)


def grain_dataset() -> Any:
    grain = needs("grain")
    rows = [(X[item], Y[item]) for item in range(ITEMS)]
    return grain.MapDataset.source(rows).seed(3).shuffle().batch(SIZE)


def grain_iterator() -> Any:
    return grain_dataset().to_iter_dataset()


def hugging_face() -> Any:
    datasets = needs("datasets")
    rows = datasets.Dataset.from_dict({"x": X, "y": Y})
    return ml.DataLoader(rows, SIZE, shuffle=True, transform=lambda row: (row["x"], row["y"]))


SOURCES = [torch_loader, tf_dataset, Sequence, grain_dataset, grain_iterator, hugging_face]


def epoch(loader: Any, number: int, start: int = 0) -> list[list[int]]:
    """The items of each batch, after a look that inputs and labels are of one item, and arrays of numpy."""
    found = []
    for x, y in loader.iterate(7, number, start):
        assert type(x) is type(y) is np.ndarray
        np.testing.assert_allclose(x, X[y], rtol=1e-6)
        found.append(y.tolist())
    return found


@pytest.mark.parametrize("make", SOURCES)
def test_every_epoch_has_all_items_and_another_process_gets_the_same_batches(make: Callable[[], Any]) -> None:
    loader, other = as_loader(make(), "training"), as_loader(make(), "training")
    whole = [epoch(loader, number) for number in (1, 2, 3)]
    for batches in whole:
        assert sorted(item for batch in batches for item in batch) == list(range(ITEMS))
        assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 2]
    assert make is grain_iterator or whole[0] != whole[1] != whole[2]
    # as a run that goes on: it looks at a batch, and begins in the middle of the first epoch or the second one
    look = other.iterate(7, 1)
    next(look)
    look.close()
    if make is not grain_iterator:
        again = as_loader(make(), "training")
        next(again.iterate(7, 1))
        go_to(again, place_of(loader, 0), Position(1, 2))
        assert epoch(again, 1, 2) == whole[0][2:]
    if make is grain_iterator:
        # what has no numbers has a state
        batches = loader.iterate(7, 2)
        for _ in range(3):
            next(batches)
        go_to(other, place_of(loader, 2), Position(2, 2))
    assert epoch(other, 2, 2) == whole[1][2:]
    assert epoch(other, 3) == whole[2]
    assert length(loader) == (None if make is grain_iterator else 6)


@pytest.mark.parametrize("make", SOURCES)
def test_training_on_it_is_training_on_its_batches(make: Callable[[], Any], tmp_path: Any) -> None:
    def model() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(ITEMS)])

    one, other = twins(model)
    batches = list(as_loader(make(), "training").iterate(1, 1))
    for net, data in ((one, make()), (other, batches)):
        net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        learner(tmp_path / str(net is one), net, None, with_file_checkpointer=()).fit(data)
    assert_equal(one, other)


def test_the_order_of_a_torch_sampler_is_a_function_of_seed_and_epoch() -> None:
    torch = needs("torch")
    torch.manual_seed(derived_seed(7, 2))
    # a sampler without a generator draws the seed of its own from the global one
    own = torch.Generator()
    own.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    order = torch.randperm(ITEMS, generator=own).tolist()
    before = torch.get_rng_state()
    assert [item for batch in epoch(as_loader(torch_loader(), "training"), 2) for item in batch] == order
    assert torch.equal(torch.get_rng_state(), before)
    given = torch.Generator()
    given.manual_seed(5)
    state = given.get_state()
    seeded = as_loader(torch_loader(generator=given), "training")
    own.manual_seed(derived_seed(7, 2))
    expected = torch.randperm(ITEMS, generator=own).tolist()
    assert [item for batch in epoch(seeded, 2) for item in batch] == expected
    assert torch.equal(given.get_state(), state)


def test_what_a_torch_loader_skips_is_not_loaded() -> None:
    torch = needs("torch")
    loaded = []

    class Watched(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> Any:
            loaded.append(index)
            return np.zeros(2, "float32"), torch.rand(())

    def make() -> Any:
        return as_loader(torch.utils.data.DataLoader(Watched(), 3, shuffle=True), "training")

    whole = [y.tolist() for _, y in make().iterate(7, 1)]
    loaded.clear()
    # what is drawn while loading is the same too
    assert [y.tolist() for _, y in make().iterate(7, 1, 2)] == whole[2:]
    assert len(loaded) == 4


class Drawing:
    """Items out of the global generators."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return np.random.rand(2), np.asarray(importlib.import_module("torch").rand(()))


def test_what_is_drawn_in_the_workers_of_a_torch_loader_is_what_is_drawn_without_them() -> None:
    torch = needs("torch")

    def drawn(workers: int, start: int = 0) -> list[list[Any]]:
        loader = torch.utils.data.DataLoader(Drawing(), 2, num_workers=workers)
        return [[x.tolist(), y.tolist()] for x, y in as_loader(loader, "training").iterate(7, 2, start)]

    torch.manual_seed(1)
    before = torch.get_rng_state()
    whole = drawn(0)
    assert drawn(1, 1) == whole[1:] and len({str(each) for each in whole}) == 4
    assert torch.equal(torch.get_rng_state(), before)


def test_a_torch_sampler_with_a_memory_is_asked_once_for_each_epoch() -> None:
    class Remembering:
        def __init__(self) -> None:
            self._stream = np.random.default_rng(3)

        def __iter__(self) -> Iterator[int]:
            return iter(self._stream.permutation(ITEMS).tolist())

        def __len__(self) -> int:
            return ITEMS

    def make() -> Any:
        return as_loader(torch_loader(sampler=Remembering(), shuffle=None), "training")

    loader, other, stream = make(), make(), np.random.default_rng(3)
    looked = next(loader.iterate(7, 1))
    whole = [epoch(loader, number) for number in (1, 2)]
    assert looked[1].tolist() == whole[0][0]
    for batches in whole:
        assert [item for batch in batches for item in batch] == stream.permutation(ITEMS).tolist()
    assert epoch(other, 2, 3) == whole[1][3:]


def test_a_torch_loader_over_a_stream_cannot_go_on_inside_an_epoch() -> None:
    torch = needs("torch")

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            return iter([(X[0], 1)] * 5)

    loader = as_loader(torch.utils.data.DataLoader(Endless(), 2), "training")
    assert length(loader) is None
    assert [y.tolist() for _, y in loader.iterate(1, 1)] == [[1, 1], [1, 1], [1]]
    with pytest.raises(ConfigurationError, match="must be able to start there"):
        go_to(loader, None, Position(1, 2))


def test_narrow_floats_become_wide_ones() -> None:
    torch, halves = needs("torch"), np.array([[1.5, -2.0]], "float32")
    given = [torch.from_numpy(halves).bfloat16(), keras.ops.convert_to_tensor(halves, dtype="bfloat16")]
    for x in given:
        ((array,),) = as_loader([(x,)], "training").iterate(1, 1)
        assert array.dtype == np.float32 and array.tolist() == halves.tolist()


def test_a_tf_pipeline_that_shuffles_without_a_seed_cannot_go_on_inside_an_epoch() -> None:
    tf = needs("tensorflow")
    # a seed for all of TensorFlow, as set_seed gives it there, seeds every shuffle
    tf.random.set_seed(None)
    base = tf.data.Dataset.from_tensor_slices(Y)
    told = {
        "in order": (base.batch(4).prefetch(1), True),
        "seeded": (base.shuffle(9, seed=1).map(lambda y: y + 1).batch(4), True),
        "unseeded": (base.shuffle(9).batch(4), False),
        "both": (base.shuffle(9, seed=1).shuffle(9).batch(4), False),
        "racing": (base.map(lambda y: y, num_parallel_calls=2, deterministic=False).batch(4), False),
        "drawing": (base.map(lambda y: tf.random.uniform(())).batch(4), False),
        "once more": (base.shuffle(9, seed=1).repeat(2).batch(4), False),
        "the same again": (base.shuffle(9, seed=1, reshuffle_each_iteration=False).repeat(2).batch(4), True),
        "in other turns": (base.repeat(2).shuffle(9, seed=1).batch(4), True),
        "files": (base.interleave(lambda y: tf.data.Dataset.from_tensors(y)).batch(4), True),
        "generated": (tf.data.Dataset.from_generator(lambda: iter([1]), output_types=tf.int32), False),
    }
    assert {name: as_loader(data, "training").resumes_inside_epoch for name, (data, _) in told.items()} == {
        name: expected for name, (_, expected) in told.items()
    }
    assert length(as_loader(told["generated"][0], "training")) is None
    endless = base.take(5).batch(3).repeat()
    with pytest.raises(DataError, match=r"epoch must end.*epoch_of\(dataset, n\)"):
        as_loader(endless, "training")
    first, second, third = Y[:3].tolist(), Y[3:5].tolist(), Y[:3].tolist()
    epochs = [[batch.tolist() for batch in ml.epoch_of(endless, 3).iterate(1, epoch)] for epoch in (1, 2)]
    assert epochs == [[first, second, third], [second, third, second]]


def test_layers_in_a_tf_pipeline_draw_as_they_do_on_arrays_and_go_on_drawing_after_a_resume() -> None:
    tf = needs("tensorflow")

    def pipeline() -> tuple[Any, keras.layers.Layer]:
        ml.set_seed(5)
        layer = keras.layers.RandomBrightness(0.5, value_range=(0.0, 9.0))
        pixels = tf.data.Dataset.from_tensor_slices(np.ones((ITEMS, 1, 1, 3), "float32")).batch(SIZE)
        return pixels.map(lambda images: layer(images, training=True)).prefetch(2), layer

    def drawn(batches: Any) -> list[list[float]]:
        return [keras.ops.convert_to_numpy(batch).ravel().tolist() for batch in batches]

    data, _ = pipeline()
    loader = as_loader(data, "training")
    epochs, places = [], []
    for number in (1, 2, 3):
        batches = loader.iterate(7, number)
        epochs.append(drawn(itertools.islice(batches, 4)))
        places.append(place_of(loader, 4))
        epochs[-1] += drawn(batches)
        places.append(place_of(loader, 6))
    _, layer = pipeline()
    ones = [np.ones((len(batch) // 3, 1, 1, 3), "float32") for batch in epochs[0]]
    assert epochs == [drawn(layer(each, training=True) for each in ones) for _ in range(3)]
    assert len({str(batch) for batch in itertools.chain(*epochs)}) == 18
    for place, epoch_of, start in ((places[2], 2, 4), (places[3], 2, 6), (places[0], 1, 4)):
        # another process looks at a batch before it is brought to the place
        data, _ = pipeline()
        resumed = as_loader(data, "training")
        next(resumed.iterate(7, 1))
        go_to(resumed, place, Position(epoch_of, start))
        assert drawn(resumed.iterate(7, epoch_of, start)) == epochs[epoch_of - 1][start:]
        assert drawn(resumed.iterate(7, epoch_of + 1)) == epochs[epoch_of]


def test_a_tf_pipeline_that_draws_in_parallel_calls_is_said_not_to_repeat_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tf, layer = needs("tensorflow"), keras.layers.RandomFlip()
    images = tf.data.Dataset.from_tensor_slices(np.ones((8, 4, 4, 1), "float32"))

    def flipped(image: Any) -> Any:
        return layer(image, training=True)

    in_turn = images.map(tf.identity, num_parallel_calls=2).map(flipped)
    assert as_loader(in_turn.batch(4), "training").resumes_inside_epoch
    assert "num_parallel_calls" not in caplog.text
    racing = images.map(flipped, num_parallel_calls=2)
    assert not as_loader(racing.batch(4), "training").resumes_inside_epoch
    assert "without num_parallel_calls" in caplog.text


def test_what_a_tf_pipeline_hands_out_must_be_dense() -> None:
    tf = needs("tensorflow")
    for odd in (tf.sparse.from_dense(X), tf.ragged.constant([[1, 2], [3]])):
        batches = as_loader(tf.data.Dataset.from_tensors((odd, Y)), "training").iterate(1, 1)
        with pytest.raises(DataError, match=r"made of numbers.*(a sparse|rows of different lengths).*(dense|Pad)"):
            next(batches)


def test_a_py_dataset_must_know_its_length() -> None:
    class Unknown(keras.utils.PyDataset):
        def __getitem__(self, number: int) -> Any:
            return X[:1], Y[:1]

    with pytest.raises(DataError, match="must know how many batches"):
        as_loader(Unknown(), "training")


def test_a_py_dataset_with_workers_gives_the_same_batches() -> None:
    one, other = as_loader(Sequence(), "training"), as_loader(Sequence(workers=3, max_queue_size=2), "training")
    assert [epoch(one, number) for number in (1, 2)] == [epoch(other, number) for number in (1, 2)]


def test_an_error_in_a_py_dataset_names_the_batch() -> None:
    class Failing(Sequence):
        def __getitem__(self, number: int) -> Any:
            raise OSError("no such image") if number == 2 else None

    batches = as_loader(Failing(), "training").iterate(1, 1, 2)
    with pytest.raises(DataError, match=r"could not make batch 2\. Received: OSError: no such image"):
        next(batches)


@pytest.mark.skipif(BACKEND != "torch", reason="only torch shares memory with numpy and works in place")
@pytest.mark.parametrize(
    "wrapped", [lambda x, y: ml.DataLoader((x, y), 8), lambda x, y: [(x, y)]], ids=["arrays", "list"]
)
def test_a_step_that_works_in_place_leaves_the_data_alone(tmp_path: Any, wrapped: Any) -> None:
    class InPlace:
        def __init__(self, model: keras.Model) -> None:
            self.model = model

        def step(self, batch: Any, training: bool) -> Any:
            x, y = batch
            x.mul_(0.5)
            loss = keras.ops.mean((self.model(x, training=training) - y.mul_(2.0)) ** 2)
            return ml.outputs.Output(loss, len(x))

    x, y = numbers(16, 3), numbers(16, 1)
    before = x.copy(), y.copy()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    learner(tmp_path / "run", InPlace(model), "sgd", 0.1, num_epochs=2).fit(wrapped(x, y), wrapped(x, y))
    assert (x == before[0]).all() and (y == before[1]).all()


def test_labels_of_items_are_checked_batch_by_batch(tmp_path: Any) -> None:
    rows = [(X[item], int(label)) for item, label in enumerate(ids(3, 8))] + [(X[0], 3)]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(DataError, match="from 0 to 2"):
        learner(tmp_path / "run", model, None).fit(ml.DataLoader(rows, 4))


def test_a_sampler_that_divides_the_items_is_for_the_place_that_the_process_has() -> None:
    """Alone it would train on its part of them, without a word."""
    torch = needs("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X))
    sampler = torch.utils.data.DistributedSampler(data, num_replicas=2, rank=1)
    loader = as_loader(torch.utils.data.DataLoader(data, SIZE, sampler=sampler), "training")
    with pytest.raises(DataError, match=r"num_replicas=2, rank=1, and this is rank 0 of 1"):
        next(loader.iterate(1, 1))
