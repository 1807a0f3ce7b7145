"""`multilearn compare`, on directories written by hand."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from multilearn.commands.compare.study import compare_grouped

Command = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]

# two epochs of two batches: 8 and 2 items in train, one batch of 4 in valid
TORCH = {
    "train/1/Loss": ["2.0,8", "1.0,2", "1.8,final"],
    "train/2/Loss": ["1.0,8", "0.5,2", "0.9,final"],
    "train/1/Accuracy": ["0.5,8", "0.5,2", "0.5,final"],
    "train/2/Accuracy": ["0.75,8", "1.0,2", "0.8,final"],
    "valid/1/Loss": ["1.25,4", "1.25,final"],
    "valid/2/Loss": ["1.0,4", "1.0,final"],
}


def changed(**finals: str) -> dict[str, list[str]]:
    """The files of `TORCH` with other epoch values: `train_2_Loss="0.8"`."""
    files = {key: list(lines) for key, lines in TORCH.items()}
    for key, value in finals.items():
        files[key.replace("_", "/")][-1] = f"{value},final"
    return files


def share(final: str) -> dict[str, list[str]]:
    return {"train/1/Accuracy": ["0.5", f"{final},final"]}


def text(final: str) -> dict[str, list[str]]:
    return {"train/1/Verdict": [final, f"{final},final"]}


THIRD = {"train/3/Loss": ["0.1,8", "0.1,final"]}


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines, those of a sentence that takes several as one."""
    return re.sub(r"\n  (?=\S)", " ", done.stdout).splitlines()


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return said(done)[-1]


def test_equal_runs_are_the_same(command: Command, write_run: Write) -> None:
    write_run("runs/digits-torch", TORCH)
    write_run("runs/digits-jax", TORCH, backend="jax")
    done = command("compare", "runs/digits-torch", "runs/digits-jax")
    assert (done.returncode, done.stderr) == (0, "")
    lines = said(done)
    assert lines[:4] == ["   run", "A  digits-torch (torch)", "B  digits-jax (jax)", ""]
    lines = lines[4:]
    assert lines[:15] == [
        "split  metric    epoch           A           B  absolute  relative",
        "train  Accuracy      1     50.00 %     50.00 %       0 %         0",
        "train  Accuracy      2     80.00 %     80.00 %       0 %         0",
        "train  Loss          1   1.8000000   1.8000000         0         0",
        "train  Loss          2  0.90000000  0.90000000         0         0",
        "valid  Loss          1   1.2500000   1.2500000         0         0",
        "valid  Loss          2   1.0000000   1.0000000         0         0",
        "",
        "largest differences",
        "split  metric    epoch  absolute  relative  allowed",
        "train  Accuracy      1       0 %         0  1 of 10",
        "train  Loss          1         0         0  1.0e-04",
        "valid  Loss          1         0         0  1.0e-04",
        "",
        "preconditions",
    ]
    assert lines[15].startswith("held: seed (42), ") and "weights at start (abababababab)" in lines[15]
    assert lines[16].startswith("not recorded by all: ") and "data" in lines[16]
    assert lines[17:] == ["", "same: 6 values within the tolerance (relative 0.0001, shares one item)"]


def test_the_largest_difference_is_between_the_two_furthest_runs(command: Command, write_run: Write) -> None:
    write_run("a", TORCH)
    write_run("b", changed(train_1_Loss="2.0", valid_2_Loss="0.8"))
    write_run("c", changed(train_1_Loss="1.5", valid_2_Loss="-1.0"))
    done = command("compare", "a", "b", "c", "--json")
    found = json.loads(done.stdout)
    values = {(each["split"], each["metric"], each["epoch"]): each for each in found["values"]}
    assert values["train", "Loss", 1] == {
        "split": "train",
        "metric": "Loss",
        "unit": "",
        "epoch": 1,
        "values": [1.8, 2.0, 1.5],
        "absolute": 0.5,
        "relative": 0.25,
        "items": None,
        "within": False,
    }
    assert (values["valid", "Loss", 2]["absolute"], values["valid", "Loss", 2]["relative"]) == (2.0, 2.0)
    assert values["valid", "Loss", 1]["within"]
    assert [(each["metric"], each["epoch"], each["relative"]) for each in found["largest"]] == [
        ("Accuracy", 1, 0.0),
        ("Loss", 1, 0.25),
        ("Loss", 2, 2.0),
    ]
    assert (found["same"], done.returncode) == (False, 1)


# what one run has, what the other has, the tolerance, and whether they are the same
JUDGED: dict[str, tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]], float, bool]] = {
    "a loss is judged by its relative difference": (TORCH, changed(valid_2_Loss="0.99"), 0.0100001, True),
    "and one too far apart": (TORCH, changed(valid_2_Loss="0.99"), 0.0099999, False),
    "equal losses, without tolerance": (TORCH, changed(valid_2_Loss="1.0"), 0, True),
    "the next float, without tolerance": (TORCH, changed(valid_2_Loss="1.0000000000000002"), 0, False),
    "a share may be an item higher": (TORCH, changed(train_2_Accuracy="0.9"), 1e-4, True),
    "a share may be an item lower": (TORCH, changed(train_2_Accuracy="0.7"), 1e-4, True),
    "a share that is more than an item higher": (TORCH, changed(train_2_Accuracy="0.91"), 1e-4, False),
    "a share that is two items lower": (TORCH, changed(train_2_Accuracy="0.6"), 1e-4, False),
    "a share without counts, past the tolerance": (share("0.5"), share("0.5001"), 1e-4, False),
    "a share without counts": (share("0.5"), share("0.5001"), 1e-3, True),
    "NaN equals NaN": (changed(train_1_Loss="NaN"), changed(train_1_Loss="NaN"), 1e-4, True),
    "infinity equals itself": (changed(train_1_Loss="inf"), changed(train_1_Loss="inf"), 1e-4, True),
    "NaN equals no number": (changed(train_1_Loss="NaN"), changed(train_1_Loss="1.0"), 1e9, False),
    "infinity and its negative": (changed(train_1_Loss="inf"), changed(train_1_Loss="-inf"), 1e9, False),
    "zero and its negative": (changed(train_1_Loss="0.0"), changed(train_1_Loss="-0.0"), 0, True),
    "other texts": (text("good"), text("bad"), 1e9, False),
    "equal texts": (text("bad"), text("bad"), 0, True),
    "training that is not finished": ({**TORCH, "train/3/Loss": ["0.1,8"]}, TORCH, 0, True),
    "no validation yet": ({**TORCH, **THIRD}, TORCH, 0, True),
    "validation that is not finished": ({**TORCH, **THIRD, "valid/3/Loss": []}, TORCH, 0, True),
}


@pytest.mark.parametrize("case", JUDGED)
def test_what_is_the_same(write_run: Write, case: str) -> None:
    one, other, tolerance, same = JUDGED[case]
    found = compare_grouped([write_run("a", one), write_run("b", other)], tolerance)
    assert found.same is same


def test_what_is_not_finite_is_a_word_in_the_json(command: Command, write_run: Write) -> None:
    write_run("a", changed(train_1_Loss="NaN", train_2_Loss="inf"))
    write_run("b", changed(train_1_Loss="NaN", train_2_Loss="1.0"))
    done = command("compare", "a", "b", "--json")
    first, second = (
        each for each in json.loads(done.stdout)["values"] if (each["split"], each["unit"]) == ("train", "")
    )
    assert (first["values"], first["absolute"], first["relative"]) == (["NaN", "NaN"], 0.0, 0.0)
    assert (second["values"], second["absolute"], second["relative"]) == (["inf", 1.0], "inf", "inf")
    assert "NaN" not in done.stdout.replace('"NaN"', "")


def test_the_verdict_and_the_table_say_where_the_tolerance_is_passed_first(command: Command, write_run: Write) -> None:
    write_run("a", TORCH)
    write_run("b", changed(train_2_Loss="0.8", train_2_Accuracy="0.1", valid_2_Loss="0.99"))
    done = command("compare", "a", "b")
    # the accuracy is 7 of 10 items apart where 1 is allowed, the losses 1,111 and 100 times the tolerance
    past = "3 of 6 values past the tolerance (relative 0.0001, shares one item)"
    assert last_line(done) == f"different: {past}, first in epoch 2: train Loss"
    lines = [line.split() for line in done.stdout.splitlines()]
    at = lines.index(["largest", "differences"])
    assert lines[at + 1] == ["split", "metric", "epoch", "absolute", "relative", "allowed", "first", "past"]
    assert [line[-2:] for line in lines[at + 2 : at + 5]] == [["2", "past"]] * 3
    assert said(done)[-2].startswith("first difference: ")


def test_a_text_that_differs_does_not_hide_how_far_apart_the_numbers_are(command: Command, write_run: Write) -> None:
    def run(name: str, matrix: str, loss: str, late: str = "0.9") -> None:
        cells = {f"train/{epoch}/ConfusionMatrix": [f"{matrix},final"] for epoch in (1, 2)}
        write_run(name, {**changed(train_1_Loss=loss, train_2_Loss=late), **cells})

    run("a", "7 1; 0 2", "1.8")
    run("b", "6 2; 0 2", "1.80001")
    run("c", "7 1; 0 2", "1.8", "0.45")
    done = command("compare", "a", "b", "c", "--json")
    first, second, third = json.loads(done.stdout)["pairs"]
    # 1e-5 of 1.8 is within the tolerance, and the text is not: the pair is past it from the first epoch on
    assert first["first_past"] == 1
    assert [(each["metric"], each["within"]) for each in first["epochs"]] == [("Loss", True), ("Accuracy", True)]
    assert first["epochs"][0]["relative"] == pytest.approx(1e-5 / 1.80001)
    assert [(each["metric"], each["epoch"], each["absolute"]) for each in first["texts"]] == [
        ("ConfusionMatrix", 1, "inf"),
        ("ConfusionMatrix", 2, "inf"),
    ]
    assert (second["first_past"], second["texts"], third["first_past"]) == (2, [], 1)
    assert second["epochs"][1]["relative"] == 0.5
    lines = command("compare", "a", "b", "c").stdout.splitlines()
    parts = [at for at, line in enumerate(lines) if line == "largest difference of each pair"]
    rows = [[line[12:] for line in lines[at + 1 : at + 5]] for at in parts]  # a pair each: three would be too wide
    assert rows == [
        [
            "A / B",
            "5.6e-06 train Loss; train ConfusionMatrix differs",
            "0 % train Accuracy; train ConfusionMatrix differs",
            "epoch 1",
        ],
        ["A / C", "0 % train Accuracy", "5.0e-01 train Loss, past", "epoch 2"],
        [
            "B / C",
            "5.6e-06 train Loss; train ConfusionMatrix differs",
            "5.0e-01 train Loss, past; train ConfusionMatrix differs",
            "epoch 1",
        ],
    ]
    largest = next(line for line in lines[lines.index("largest differences") :] if "ConfusionMatrix" in line)
    assert largest.split() == ["train", "ConfusionMatrix", "1", "differs", "differs", "1.0e-04", "1", "past"]


def test_the_verdict_names_a_number_before_a_text(command: Command, write_run: Write) -> None:
    def verdict(verdict: str) -> dict[str, list[str]]:
        return {f"train/{epoch}/Verdict": [f"{verdict},final"] for epoch in (1, 2)}

    write_run("a", {**TORCH, **verdict("good")})
    write_run("b", {**changed(train_1_Loss="1.7"), **verdict("bad")})
    write_run("c", {**TORCH, **verdict("bad")})
    assert last_line(command("compare", "a", "b")).endswith("first in epoch 1: train Loss")
    assert last_line(command("compare", "a", "c")).endswith("first in epoch 1: train Verdict")


def test_different_numbers_of_epochs_are_said_aloud_and_accepted_with_prefix(
    command: Command, write_run: Write
) -> None:
    write_run("long", {**TORCH, "train/3/Loss": ["0.1,8", "0.1,final"], "valid/3/Loss": ["0.1,4", "0.1,final"]})
    write_run("short", TORCH)
    words = "different numbers of finished epochs (long 3, short 2): compared in epochs 1-2 only"
    refused = command("compare", "long", "short")
    assert f"but: {words}" in said(refused)
    assert last_line(refused) == "different: not all of it could be compared"
    accepted = command("compare", "long", "short", "--prefix")
    assert f"note: {words}" in said(accepted)
    assert (refused.returncode, accepted.returncode) == (1, 0)


def test_a_metric_that_only_one_run_has_is_said_aloud(command: Command, write_run: Write) -> None:
    write_run("a", TORCH)
    write_run("b", {key: lines for key, lines in TORCH.items() if key != "train/2/Accuracy"})
    done = command("compare", "a", "b", "--prefix")
    assert "but: b has no train Accuracy in epoch 2" in done.stdout.splitlines()
    assert done.returncode == 1


def test_declared_differences_are_named_among_the_preconditions(
    command: Command, write_run: Write, session: Callable[..., dict[str, Any]]
) -> None:
    write_run("a", TORCH)
    older = session("jax", versions={"keras": "3.14.0"})
    write_run("b", TORCH, seed=7, weights_sha256="cd" * 32, sessions=[session("torch"), older])
    done = command("compare", "a", "b")
    lines = done.stdout.splitlines()
    assert "differs: seed (42 / 7)" in lines
    assert "differs: weights at start (abababababab / cdcdcdcdcdcd)" in lines
    assert "differs: versions (keras 3.15.1 / keras 3.15.1, then 3.14.0)" in lines
    assert "b (torch+jax)" in done.stdout and done.returncode == 0


def test_runs_of_the_same_name_are_told_apart_by_their_parents(command: Command, write_run: Write) -> None:
    write_run("first/run", TORCH)
    write_run("second/run", TORCH)
    lines = command("compare", "first/run", "second/run").stdout.splitlines()
    assert lines[1:3] == ["A  first/run (torch)", "B  second/run (torch)"]


@pytest.mark.parametrize("columns", ["40", "300"])
def test_however_many_runs_there_are_nothing_is_wider_than_80_columns_and_nothing_is_left_out(
    multilearn: Command, write_run: Write, columns: str
) -> None:
    names = [f"a-run-of-a-grid-with-a-name-{at:02}" for at in range(28)]
    for at, name in enumerate(names):
        write_run(name, changed(train_2_Loss=f"0.9{at:02}"))
    done = multilearn("compare", *names, COLUMNS=columns)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80 and "\x1b" not in done.stdout
    assert lines[1] == f"A   {names[0]} (torch)" and lines[28] == f"AB  {names[27]} (torch)"
    losses = [line.split()[3:] for line in lines if line.startswith("train  Loss          2  ")]
    assert [value for row in losses for value in row if re.fullmatch(r"0\.9\d{6,7}", value)] == [
        f"{float(f'0.9{at:02}'):#.8g}" for at in range(28)
    ]
    assert done.stdout.count(" / ") >= 28 * 27 // 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "DIR"),
        (["a"], "two directories or more. Received: 1."),
        (["a", "./a"], "named once, for it is not compared with itself. Received: a, a."),
        (["a", "nowhere"], "Received: nowhere (no such directory)."),
        (["a", "."], "holds experiment.json. Received: .."),
        (["a", "empty"], "no finished epoch in common. Received: a: epochs 1-2; empty: no epoch."),
        (["a", "later"], "no finished epoch in common. Received: a: epochs 1-2; later: epoch 3."),
        (["a", "stranger"], "no metric in common."),
        (["a", "broken"], "Loss.log"),
        (["a", "cut"], "experiment.json cannot be read"),
        (["a", "newer"], "is of a version that this multilearn does not know. Received: 2."),
        (["a", "listless"], "must list 'sessions'"),
        (["a", "b", "--tolerance", "-1"], "must be 0 or more. Received: -1.0."),
        (["a", "b", "--tolerance", "nan"], "must be 0 or more. Received: nan."),
        (["a", "b", "--tolerance", "much"], "'--tolerance'"),
        (["a", "b", "--tolerence", "1"], "--tolerance"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    command: Command, write_run: Write, arguments: list[str], said: str
) -> None:
    write_run("a", TORCH)
    write_run("b", TORCH)
    write_run("empty", {})
    write_run("later", {"train/3/Loss": ["1.0,final"]})
    write_run("stranger", {"train/1/Other": ["1.0,final"]})
    write_run("broken", {"train/1/Loss": ["1.0,2,3", "1.0,final"]})
    write_run("newer", TORCH, version=2)
    write_run("listless", TORCH, sessions={})
    (write_run("cut", TORCH) / "experiment.json").write_text('{"version": 1')
    done = command("compare", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr
