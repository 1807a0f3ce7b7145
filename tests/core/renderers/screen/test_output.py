"""What a script prints, as the pane has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from multilearn.renderers.screen.output import OutputTail


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"on", b"e\ntw", b"o"], ["one", "two"]),
        ([b"10 %\r20 %\r", b"30 %\n"], ["30 %"]),
        ([b"\x1b[31mred\x1b[0m \x1b]0;title\x07and\tmore\x1b[2K\n"], ["red and more"]),
        ([b"bell\x07 caf\xe9\n"], ["bell\\x07 caf�"]),
        ([b"\n\nlast"], ["", "", "last"]),
        ([], []),
    ],
)
def test_lines_are_those_that_a_terminal_would_have(tmp_path: Path, parts: list[bytes], lines: list[str]) -> None:
    path = tmp_path / "output"
    tail = OutputTail(path)
    tail.follow()
    for part in parts:
        with path.open("ab") as file:
            file.write(part)
        tail.follow()
    assert tail.lines == lines


def test_of_very_much_the_end_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(300_000)))
    tail = OutputTail(path)
    tail.follow()
    assert tail.lines[-1] == "299999" and len(tail.lines) == 500


def test_without_a_file_there_is_nothing() -> None:
    tail = OutputTail(None)
    tail.follow()
    assert tail.lines == [] and tail.size == 0
