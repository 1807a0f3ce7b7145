"""Whatever stands in the place of `sys.stdout`, a run is trained; and what is shown comes out as far as it can."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.renderers.stream import ForgivingStream


class Writes:
    """Has one method, and keeps what it is given."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class Flushes(Writes):
    def flush(self) -> None:
        pass


class Raises(Flushes):
    """Answers no question."""

    encoding = "no-such-encoding"

    def isatty(self) -> bool:
        raise RuntimeError("not said")

    def fileno(self) -> int:
        raise AttributeError("none")


class Terminal(Flushes):
    """Says that it is a terminal, and has no descriptor."""

    encoding = 42

    def isatty(self) -> bool:
        return True


class Narrow(Writes):
    """Writes into something that takes ASCII, and does not say so."""

    def write(self, text: str) -> None:
        super().write(text.encode("ascii").decode())


class Broken:
    def write(self, text: str) -> None:
        raise RuntimeError("the tracker is gone")


class Properties(Writes):
    @property
    def encoding(self) -> Any:
        raise RuntimeError("not now")

    isatty = fileno = encoding


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {
    each.__name__: each for each in (Writes, Flushes, Raises, Terminal, Narrow, Broken, Properties, object, closed)
}


@pytest.mark.parametrize("kind", [*STREAMS, "None"])
def test_a_run_is_trained_and_evaluated_whatever_stdout_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = None if kind == "None" else STREAMS[kind]()
    monkeypatch.setattr(sys, "stdout", stream)
    described = ml.LearnerBuilder(tmp_path / "run").metrics(ml.metrics.Accuracy()).num_epochs(2).summary()
    learner = toy.fit(described)
    ml.Evaluator(tmp_path / "run", summary=True).evaluate(toy.task(), toy.valid_loader())
    assert sys.stdout is stream
    assert len(learner.history["train"]["Loss"]) == 2
    if isinstance(stream, Writes):
        for part in ("completed 2 epochs", "summary", "evaluation test"):
            assert part in stream.text


def test_characters_that_what_is_behind_a_stream_refuses_are_replaced() -> None:
    ForgivingStream(stream := Narrow()).write("é▁ e")  # type: ignore[arg-type]
    assert stream.text == "?_ e"


def test_a_stream_that_is_refused_in_ascii_too_is_gone() -> None:
    class Refusing:
        calls = 0

        def write(self, text: str) -> None:
            self.calls += 1
            raise UnicodeEncodeError("ascii", text, 0, 1, "no")

    forgiving = ForgivingStream(stream := Refusing())  # type: ignore[arg-type]
    for _ in range(3):
        forgiving.write("é")
    assert stream.calls <= 2


def test_the_history_has_its_splits_and_metrics_before_the_first_epoch_is_done(tmp_path: Path) -> None:
    interrupter = ml.Interrupter()
    interrupter.stop("enough")
    described = toy.builder(tmp_path / "run").with_interrupter(interrupter)
    learner = toy.build(described)
    assert learner.history == {}
    learner.fit(toy.train_loader(), toy.valid_loader())
    empty = {"Loss": (), "Accuracy": ()}
    assert learner.history == {"train": empty, "valid": empty}
