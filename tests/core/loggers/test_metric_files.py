from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multilearn.errors import RecordError
from multilearn.loggers import MetricFile, format_final, format_line, read_metric_file
from multilearn.loggers.metric_file import EpochValue, read_epoch_value, read_lines

COUNTS = st.none() | st.integers(0, 2**70) | st.floats(allow_nan=False)
TEXTS = st.text(st.characters()) | st.sampled_from(
    ["NaN", "0.5", "-inf", "final", "", "\\", "\\n", "\\x0a", "1e5", "a,final"]
)


@pytest.mark.parametrize(
    ("value", "count", "line"),
    [
        (0.1, 64, "0.1,64"),
        (0.1, None, "0.1"),
        (2, 1.5, "2.0,1.5"),
        (float("nan"), 0, "NaN,0"),
        (float("inf"), None, "inf"),
        (-float("inf"), float("inf"), "-inf,inf"),
        (-0.0, None, "-0.0"),
        (1e-7, None, "1e-07"),
        ("two words", None, "two words"),
        ("a,b\nc\\", 3, "a\\x2cb\\x0ac\\\\,3"),
        ("NaN", None, "\\x4eaN"),
        ("naïve — ü", None, "naïve — ü"),
    ],
)
def test_a_line_is_value_and_count(value: float | str, count: float | None, line: str) -> None:
    assert format_line(value, count) == line


def test_the_final_line_is_the_value_and_the_word() -> None:
    assert format_final(0.975) == "0.975,final"


@given(st.lists(st.tuples(st.floats(allow_nan=False), COUNTS)), st.none() | st.floats(allow_nan=False))
@example([(5e-324, 1), (-0.0, None), (1.7976931348623157e308, 3)], 0.1)
def test_numbers_come_back_bit_for_bit(tmp_path_factory, lines, final) -> None:
    read = _written(tmp_path_factory.mktemp("m"), lines, final)
    assert list(map(repr, read.values)) == [repr(value) for value, _ in lines]
    assert list(map(repr, read.counts)) == [repr(count) for _, count in lines]
    assert repr(read.final) == repr(final)


@given(st.lists(st.tuples(TEXTS, COUNTS), min_size=1), st.none() | TEXTS)
@example([("\ud800\u2028\x85\r", None)], "")
def test_texts_come_back_as_they_were(tmp_path_factory, lines, final) -> None:
    assert _written(tmp_path_factory.mktemp("m"), lines, final) == MetricFile(
        tuple(value for value, _ in lines), tuple(count for _, count in lines), final
    )


@given(TEXTS, COUNTS)
def test_a_text_never_breaks_its_line(text: str, count: float | None) -> None:
    line = format_line(text, count)
    assert len(f"x{line}x".splitlines()) == 1
    line.encode()


@given(TEXTS, st.floats())
def test_no_text_is_written_as_a_number(text: str, number: float) -> None:
    assert format_line(text) != format_line(number)


@given(TEXTS)
def test_escaping_twice_can_be_undone_twice(tmp_path_factory, text: str) -> None:
    outer = _written(tmp_path_factory.mktemp("m"), [(format_line(text, 3), None)], None).values[0]
    assert _read(tmp_path_factory.mktemp("m"), f"{outer}\n".encode()) == MetricFile((text,), (3,), None)


def test_nan_is_read(tmp_path: Path) -> None:
    read = _read(tmp_path, b"NaN,0\nNaN,final\n")
    assert math.isnan(read.values[0]) and math.isnan(read.final) and read.counts == (0,)


@pytest.mark.parametrize("torn", [b"0.25,fin", b"0.2", b"\xff\x00", b"0.25,final"])
def test_a_last_line_without_newline_does_not_count(tmp_path: Path, torn: bytes) -> None:
    assert _read(tmp_path, b"0.5,64\n" + torn) == MetricFile((0.5,), (64,), None)


def test_an_empty_file_has_nothing(tmp_path: Path) -> None:
    assert _read(tmp_path, b"") == MetricFile((), (), None)


@pytest.mark.parametrize(
    "bad",
    [b"0.5,sixty", b"0.5,1,2", b"0.5,", b"0,5,final", b"abc", b"", b"a\\qb", b"\xff", b"0.5,64\r", b"9" * 5000 + b",x"],
)
def test_a_malformed_line_is_named(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(RecordError, match=r"Loss\.log line 2"):
        _read(tmp_path, b"0.5,64\n" + bad + b"\n0.5,64\n")


def test_what_is_unavailable_may_stand_among_numbers_and_no_other_text(tmp_path: Path) -> None:
    read = _read(tmp_path, b"unavailable\n0.5\nunavailable\n0.5,final\n")
    assert read == MetricFile(("unavailable", 0.5, "unavailable"), (None, None, None), 0.5)
    assert _read(tmp_path, b"two\nunavailable\n").values == ("two", "unavailable")
    with pytest.raises(RecordError, match="line 3: a text among numbers"):
        _read(tmp_path, b"unavailable\n0.5\ntwo\n")


def test_a_line_after_the_final_one_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="line 3"):
        _read(tmp_path, b"0.5,64\n0.5,final\n0.5,64\n")


def _written(folder: Path, lines, final) -> MetricFile:
    text = "".join(f"{format_line(value, count)}\n" for value, count in lines)
    return _read(folder, (text if final is None else f"{text}{format_final(final)}\n").encode())


def _read(folder: Path, content: bytes) -> MetricFile:
    path = folder / "Loss.log"
    path.write_bytes(content)
    return read_metric_file(path)


def test_a_file_is_named_by_a_path_or_by_its_text(tmp_path: Path) -> None:
    (tmp_path / "Loss.log").write_text("0.5,2\n0.5,final\n")
    assert read_metric_file(str(tmp_path / "Loss.log")) == MetricFile((0.5,), (2,), 0.5)


def test_a_file_of_any_length_is_read_in_the_memory_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "Loss.log"
    path.write_text("0.5,2\n" * 30_000 + "0.25,final\n")
    tracemalloc.start()
    found = read_epoch_value(path)
    count = sum(not final for _, _, final in read_lines(path))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found, count) == (EpochValue(0.25, 60_000.0), 30_000)
    assert most < 500_000
