"""history.log: the values of the finished epochs, of which a checkpoint counts the first so many bytes."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.events import Split
from multilearn.records import journal as journals
from multilearn.records.journal import Journal, JournalFile, fault, read_journal

values = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), st.floats())
LAST = 10**6


def filled(*entries: tuple[Split, int, dict[str, float]]) -> Journal:
    journal = Journal()
    for entry in entries:
        journal.add(*entry)
    return journal


def of_losses(losses: list[float]) -> Journal:
    return filled(*((Split.VALID, epoch, {"Loss": loss}) for epoch, loss in enumerate(losses, start=1)))


def kept(path: Path, journal: Journal) -> Path:
    JournalFile(path).hold(journal, len(journal))
    return path


def line(entry: object) -> bytes:
    text = json.dumps(entry, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(text), text)


def extent(content: bytes) -> dict[str, object]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@given(st.lists(st.tuples(st.sampled_from([Split.TRAIN, Split.VALID]), values), max_size=6))
def test_what_is_read_is_what_was_written_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[Split, dict[str, float]]]
) -> None:
    journal = filled(*((split, epoch, entry) for epoch, (split, entry) in enumerate(entries, start=1)))
    path = kept(tmp_path_factory.mktemp("journal") / "history.log", journal)
    again, problem = read_journal(path, journal.extent(), LAST)
    assert problem is None
    # repr tells NaN from NaN no more and 0.0 from -0.0 still
    assert repr(again.history.table()) == repr(journal.history.table())
    assert again.extent() == journal.extent()
    assert again.content(len(again)) == journal.content(len(journal))
    if entries:
        assert journal.extent() == extent(path.read_bytes())


def test_the_lines_are_these(tmp_path: Path) -> None:
    journal = filled((Split.TRAIN, 3, {"Loss": 0.25, "R2": -math.inf}), (Split.VALID, 3, {}))
    expected = line(["train", 3, {"Loss": 0.25, "R2": "-inf"}]) + line(["valid", 3, {}])
    assert kept(tmp_path / "history.log", journal).read_bytes() == expected


def test_a_checkpoint_counts_the_lines_of_its_time_and_no_later_ones(tmp_path: Path) -> None:
    early = of_losses([0.5, 0.25]).extent()
    path = kept(tmp_path / "history.log", of_losses([0.5, 0.25, 0.75]))
    found, problem = read_journal(path, early, 2)
    assert problem is None and fault(path, early) is None
    assert found.history.values("valid", "Loss") == {1: 0.5, 2: 0.25}
    path.write_bytes(path.read_bytes() + b"what a kill left of a li")
    assert fault(path, early) is None and read_journal(path, early, 2)[1] is None


def test_an_entry_that_is_repeated_is_none_and_one_that_is_another_counts() -> None:
    journal = of_losses([0.5])
    once = journal.extent()
    journal.add(Split.VALID, 1, {"Loss": 0.5})
    assert journal.extent() == once
    journal.add(Split.VALID, 1, {"Loss": 0.75})
    assert (len(journal), journal.history.values("valid", "Loss")) == (2, {1: 0.75})


def test_later_saves_only_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, file = of_losses([0.5]), JournalFile(tmp_path / "history.log")
    file.hold(journal, 1)
    monkeypatch.setattr(journals.atomic, "write_atomically", lambda *_: pytest.fail("the whole file was written"))
    journal.add(Split.VALID, 2, {"Loss": 0.25})
    journal.add(Split.VALID, 3, {"Loss": 0.75})
    file.hold(journal, 2)
    assert (tmp_path / "history.log").read_bytes() == journal.content(2)
    file.hold(journal, 3)
    assert (tmp_path / "history.log").read_bytes() == journal.content(3)


@pytest.mark.parametrize("left", [b"", b"another", None])
def test_a_file_that_is_not_as_it_was_left_is_written_again(tmp_path: Path, left: bytes | None) -> None:
    path, journal = tmp_path / "history.log", of_losses([0.5])
    file = JournalFile(path)
    file.hold(journal, 1)
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    journal.add(Split.VALID, 2, {"Loss": 0.25})
    file.hold(journal, 2)
    assert path.read_bytes() == journal.content(2)


def test_a_link_in_its_place_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.log").write_bytes(b"mine")
    (tmp_path / "history.log").symlink_to("mine.log")
    kept(tmp_path / "history.log", of_losses([0.5]))
    assert (tmp_path / "mine.log").read_bytes() == b"mine"
    assert not (tmp_path / "history.log").is_symlink()


def flipped(content: bytes) -> bytes:
    at = content.index(b"0.25")
    return content[:at] + b"0.35" + content[at + 4 :]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda content: content[:-5], {1: 0.5, 2: 0.25}),
        (flipped, {1: 0.5, 3: 0.75}),
        (lambda content: b"\x00" * len(content), {}),
        (lambda content: b"", {}),
        (lambda content: content.replace(b"\n", b" ", 1), {3: 0.75}),
    ],
)
def test_of_a_damaged_file_the_lines_that_are_whole_are_left(tmp_path: Path, damage, left: dict[int, float]) -> None:
    journal = of_losses([0.5, 0.25, 0.75])
    path = kept(tmp_path / "history.log", journal)
    path.write_bytes(damage(path.read_bytes()))
    found, problem = read_journal(path, journal.extent(), 3)
    assert problem == fault(path, journal.extent()) == "history.log is not as it was written"
    assert found.history.values("valid", "Loss") == left


def test_a_file_that_is_gone_or_none_is_said(tmp_path: Path) -> None:
    path, counts = tmp_path / "history.log", of_losses([0.5]).extent()
    assert read_journal(path, counts, 1)[1] == fault(path, counts) == "history.log is missing"
    path.mkdir()
    assert "history.log cannot be read" in str(read_journal(path, counts, 1)[1])
    # where nothing has been finished nothing is needed
    assert read_journal(path, Journal().extent(), 1)[1] is None


@pytest.mark.parametrize(
    "entry",
    [
        ["train", 0, {"Loss": 0.5}],
        ["train", 4, {"Loss": 0.5}],
        ["train", True, {"Loss": 0.5}],
        ["train", 1, {"Loss": [0.5]}],
        ["train", 1, {"Loss": "1_0"}],
        ["train", 1, {"Loss": None}],
        ["train", 1, {"Loss": 10**400}],
        ["else", 1, {"Loss": 0.5}],
        [["train"], 1, {"Loss": 0.5}],
        ["train", 1],
        {"train": 1},
        [[[[]]]],
    ],
)
def test_a_line_that_no_run_writes_is_damage_whatever_its_checksum_says(tmp_path: Path, entry: object) -> None:
    content = line(["train", 1, {"Loss": 0.5}]) + line(entry)
    (tmp_path / "history.log").write_bytes(content)
    found, problem = read_journal(tmp_path / "history.log", extent(content), 3)
    assert problem is not None
    assert found.history.values("train", "Loss") == {1: 0.5}
