"""What comes from a file or a name does nothing to a terminal, a log or a Markdown page, and stays readable."""

from __future__ import annotations

import io
import json
import logging
import sys
import unicodedata
from pathlib import Path

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn import cli
from multilearn.commands.text import Sentences, TextTable, as_markdown, as_text
from multilearn.errors import MultilearnError
from multilearn.printable import printable, printable_message
from multilearn.renderers.notation import abridged, shown
from multilearn.run.log import file_log

VISIBLE = {0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Format characters that are signs with a shape: of numbers, years and abbreviations."""
HIEROGLYPHS = range(0x13430, 0x13440)
STEERING = "\x1b]0;x\x07\x1b[2J\x9b2J\r\b\x7f\x85\u202e\u2066\u200b\u200d\u2028\U000e0041\ud800"
ORDINARY = "Ünïcode, 中文, हिन्दी, עברית, 🙂, ❤️, 👩‍💻, 👨‍👩‍👧, 🏴, µs, ½, e\u0301, [red], a_b\xa0c"


def test_every_control_and_format_character_is_escaped() -> None:
    for code in range(sys.maxunicode + 1):
        kept = code in VISIBLE or code in HIEROGLYPHS
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp") and not kept:
            told = printable(f"a{chr(code)}b")
            assert told.isascii() and told.isprintable(), hex(code)


def test_what_is_escaped_says_what_it_was() -> None:
    assert printable("a\x1b[2J\u202e\U000e0041\ud800\n") == r"a\x1b[2J\u202e\U000e0041\ud800\x0a"


def test_ordinary_text_stays_as_it_is() -> None:
    assert printable(ORDINARY) == ORDINARY
    assert shown(1.5, "µs") == "1.5000 µs"
    assert abridged("中文", 24) == "中文"


def test_a_message_keeps_the_lines_that_it_was_given_and_no_others() -> None:
    assert printable_message("a:\n  b\nc\r\n  d") == "a:\n  b\\x0ac\\x0d\n  d"
    error = MultilearnError("A rule.", received="x\x1b[2J\nmultilearn: all is well")
    assert str(error) == r"A rule. Received: x\x1b[2J\x0amultilearn: all is well."


def test_no_line_of_the_log_can_be_forged(tmp_path: Path) -> None:
    forged = "2026-01-31T12:00:00.123Z INFO multilearn Checkpoint 9 is saved."
    with file_log(tmp_path / "experiment.log"):
        logging.getLogger("elsewhere").warning("%s\n%s\r\x1b[2J", "line", forged)
        try:
            raise ValueError(f"x\n{forged}")
        except ValueError:
            logging.getLogger("multilearn").exception("failed")
    lines = (tmp_path / "experiment.log").read_bytes().decode().splitlines()
    assert lines[1] == f"  {forged}\\x0d\\x1b[2J"
    assert lines[-1] == f"  {forged}"
    assert sum(line[:1].isdigit() for line in lines) == 2


def test_markdown_has_no_links_images_html_or_cells_from_names() -> None:
    name = "![x](http://a.b) <img src=x> `a` a|b www.a.b x@a.b &lt; #1 $x$ ~~a~~ \x1b[2J"
    told = as_markdown([TextTable(name, [[name, "b"], ["1e-05", "-0.5"]]), Sentences([name])])
    escaped = r"\!\[x\](http\://a.b) \<img src=x> \`a\` a\|b www\.a.b x\@a.b \&lt; \#1 \$x\$ \~\~a\~\~ \\x1b\[2J"
    head = told.splitlines()
    assert head[0] == f"### {escaped}"
    assert head[2:5] == [f"| {escaped} | b |", "| --- | --- |", "| 1e-05 | -0.5 |"]
    assert told.endswith(f"**{escaped}**")


def test_text_reports_escape_titles_cells_and_sentences() -> None:
    told = as_text([TextTable(STEERING, [[STEERING, "b"]]), Sentences([STEERING])])
    assert told.isascii() and all(line.isprintable() for line in told.split("\n"))
    assert len(told.split("\n")) == 4


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs that say the same, with names and values that steer a terminal."""
    for name in ("a\x1b[2J", "b\u202e"):
        toy.fit(toy.builder(tmp_path / name, 1))
        file = tmp_path / name / "experiment.json"
        document = json.loads(file.read_text())
        document["metrics"].append({"name": f"M{STEERING[:-1]}", "splits": ["train"], "unit": "\x9b2J"})
        document["sessions"][0] |= {"backend": f"toy{STEERING[:-1]}{name}", "device": "\x07", "error": "\r\u2066"}
        document["loss"] = f"{name}\n### [x](http://y)"
        file.write_text(json.dumps(document))
        for split in ("train", "valid"):
            (tmp_path / name / split / "epoch-1" / "\x1b]0;x\x07.log").write_text("0.5,1\n0.5,final\n")
    return tmp_path / "a\x1b[2J", tmp_path / "b\u202e"


@pytest.mark.parametrize(
    "command",
    ["compare", "compare --markdown", "compare --json", "inspect", "inspect --json"],
)
def test_a_strangers_runs_are_reported_without_a_control_character(
    hostile: tuple[Path, Path], command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *form = command.split()
    for paths in [hostile] if name == "compare" else [hostile[:1], hostile[1:]]:
        monkeypatch.setattr(sys, "argv", ["multilearn", name, *map(str, paths), *form])
        with pytest.raises(SystemExit):
            cli.main()
        said = capsys.readouterr()
        assert said.err == "" and "toy" in said.out
        assert all(printable(line) == line for line in said.out.split("\n"))
    if command == "compare --json":
        assert json.loads(said.out)["runs"][0]["directory"] == str(hostile[0])


def test_an_error_of_the_command_line_steers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["multilearn", "inspect", str(tmp_path / "x\x1b[2J\nmultilearn: fine")])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    said = capsys.readouterr().err
    assert printable(said[:-1]) == said[:-1] and r"x\x1b[2J\x0amultilearn: fine" in said


def test_a_run_says_what_it_is_called_without_steering_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Named(ml.metrics.Loss):
        name = "L\x1b[2J\u202e\n"

    screen = io.StringIO()
    described = (
        ml.LearnerBuilder(tmp_path / "r\x1b[2J\n")
        .metrics(Named())
        .with_file_checkpointer()
        .renderer(ml.renderers.CliRenderer(screen))
        .summary()
    )
    toy.fit(described.num_epochs(1))
    toy.fit(described.num_epochs(2).checkpoint("latest"))
    said = [*screen.getvalue().split("\n"), *capsys.readouterr().out.split("\n"), *caplog.messages]
    said += (tmp_path / "r\x1b[2J\n/experiment.log").read_text().split("\n")
    assert any(r"L\x1b[2J\u202e" in line for line in said)
    assert all(printable(line) == line for line in said)
