"""experiment.json over the versions of this library: nothing that was written is lost, nothing odd is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import DirectoryError
from multilearn.run.environment import Weights
from multilearn.run.experiment import Experiment, Session, earlier, read_document


def change(directory: Path, **parts: Any) -> None:
    document = {**toy.experiment(directory), **parts}
    (directory / "experiment.json").write_text(json.dumps(document))


def test_sessions_of_another_version_stay_when_a_run_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    toy.fit(toy.builder(directory, epochs=1))
    (first,) = toy.experiment(directory)["sessions"]
    past = {"started": "2025-01-01T00:00:00Z", "backend": "toy", "versions": {}, "device": "cpu:0"}
    future = {**first, "carbon": {"kg": 1.5}, "threads": {"OMP_NUM_THREADS": None, "new": [1]}}
    change(directory, sessions=[past, future], unknown=True)
    toy.fit(toy.builder(directory, epochs=2).checkpoint("latest"))
    sessions = toy.experiment(directory)["sessions"]
    assert len(sessions) == 3
    assert sessions[0].items() >= past.items()
    assert sessions[1].items() >= future.items()
    assert sessions[2]["resumed_from"] == {"directory": str(directory), "position": "1"}


def test_the_builder_comes_back_whatever_else_is_in_the_file(tmp_path: Path) -> None:
    described = ml.LearnerBuilder(tmp_path / "run").metrics(ml.metrics.Loss()).num_epochs(2)
    toy.fit(described)
    document = toy.experiment(tmp_path / "run")
    change(tmp_path / "run", sessions=[{**document["sessions"][0], "new": 1}, 3], version=99, other={})
    assert ml.LearnerBuilder.from_experiment(tmp_path / "run") == described


def test_a_run_moved_to_another_directory_has_the_hashes_of_its_first_weights(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "a", epochs=1))
    toy.fit(toy.builder(tmp_path / "b", epochs=2).checkpoint("latest", tmp_path / "a"))
    first, second = toy.experiment(tmp_path / "a"), toy.experiment(tmp_path / "b")
    for key in ("weights_sha256", "weights_crc32"):
        assert first[key] == second[key] and first[key]


def test_a_run_resumed_under_another_seed_says_nothing_of_a_first_batch_it_did_not_train_on(tmp_path: Path) -> None:
    def batches() -> Any:
        return iter(ml.DataLoader(toy.arrays(16), 8, shuffle=True))

    toy.fit(toy.builder(tmp_path / "run", epochs=1), batches)
    ml.set_seed(toy.SEED + 1)
    described = toy.builder(tmp_path / "run", epochs=2).checkpoint("latest")
    learner = described.build(toy.task(), toy.Momentum(), ml.schedulers.Cosine(0.5, updates=4 * toy.BATCHES))
    learner.fit(batches, toy.valid_loader())
    first, second = toy.experiment(tmp_path / "run")["sessions"]
    assert list(first["data"]["train"]) == ["first batch of 8"]
    assert second["data"]["train"] == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 100_000, '{"a": 1' + "0" * 5000 + "}", "\xff"])
def test_what_is_no_object_is_refused_in_one_way(tmp_path: Path, text: str) -> None:
    (tmp_path / "experiment.json").write_text(text, encoding="latin-1")
    with pytest.raises(DirectoryError, match=r"experiment\.json"):
        read_document(tmp_path / "experiment.json")
    assert earlier(tmp_path / "experiment.json") == ((), Weights())


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([*Session.__dataclass_fields__, "position", "directory", "new"])


@settings(max_examples=40, deadline=None)
@example({"resumed_from": "elsewhere"})
@given(st.dictionaries(names, plain | st.dictionaries(names, plain)))
def test_any_entry_is_read_as_a_session_and_written_again(entry: dict[str, Any]) -> None:
    session = Session.read(entry)
    assert all(isinstance(each, str) for each in (session.started, session.backend, session.device))
    assert session.resumed_from is None or isinstance(session.resumed_from["directory"], str)
    written = session.to_entry()
    unknown = entry.keys() - Session.__dataclass_fields__.keys()
    assert {name: written[name] for name in unknown} == {name: entry[name] for name in unknown}
    assert Session.read(json.loads(json.dumps(written))) == session


def test_a_session_comes_back_as_it_was_written() -> None:
    session = Session("now", "toy", {"a": "1"}, "cpu:0", data={"train": {}}, restored=3, others={"new": [1]})
    document = json.loads(Experiment(1, {}, (), {}, {}, (), Weights("ab", {"w": "01"}), (session,)).to_json())
    assert Session.read(document["sessions"][0]) == session
    assert Weights.read(document) == Weights("ab", {"w": "01"})
