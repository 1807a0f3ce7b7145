"""The benchmarks' pure parts: figures, ratios, goals, arguments. That all do the same work they check themselves."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(ROOT))
    from benchmarks.harness.arguments import FRAMEWORKS, known_cases, parsed
    from benchmarks.harness.figures import largest_difference, spread_of
    from benchmarks.harness.goals import GOALS, Verdict
    from benchmarks.harness.plot import picture
    from benchmarks.harness.report import case_lines, missed
    from benchmarks.harness.results import merged, with_ratios


def row(framework: str = "torch", model: str = "mlp", **peers: dict[str, Any]) -> dict[str, Any]:
    about = {"framework": framework, "model": model, "batch": 64, "long": False}
    work = {"steps": 10, "valid_steps": 2, "epochs": 3}
    return {**about, **work, "peers": {name.replace("_", " "): each for name, each in peers.items()}}


def peer(step: float, *, difference: float = 0.0, fit: float = 1.0) -> dict[str, Any]:
    spread = {"median": step, "min": step, "max": step, "spread": 0.0}
    times = {"step_ms": spread, "cpu_step_ms": spread, "fit_s": fit, "cpu_fit_s": fit, "start_up_s": 0.0}
    return {**times, "difference": difference}


def test_a_spread_is_half_of_the_middle_half_over_the_median() -> None:
    # of 1, 2, 3, 4, 10 a quarter lies below 2 and a quarter above 4: (4 - 2) / 2 / 3
    assert spread_of([10.0, 2.0, 3.0, 1.0, 4.0]) == {"median": 3.0, "min": 1.0, "max": 10.0, "spread": 0.333}
    assert spread_of([2.5]) == {"median": 2.5, "min": 2.5, "max": 2.5, "spread": 0.0}


def test_the_largest_difference_is_relative_and_infinite_for_what_is_no_number() -> None:
    assert largest_difference([(2.0, 2.0), (-1.0, 3.0), (4.0, 5.0)]) == pytest.approx(4 / 3)
    assert largest_difference([(0.0, 0.0)]) == 0.0
    assert largest_difference([(1.0, math.nan)]) == math.inf


def test_ratios_and_verdicts_of_a_row() -> None:
    peers = {"learner": peer(0.9, fit=3.0), "loop": peer(1.0, fit=2.0), "loop_fused": peer(0.75), "keras_fit": peer(3)}
    found = with_ratios(row(**peers))
    assert found["ratios"]["loop"] == {"step": 0.9, "cpu": 0.9, "fit": 1.5, "cpu_fit": 1.5, "counted": 0.9}
    assert [(goal["peer"], goal["ratio"], goal["met"]) for goal in found["goals"]] == [
        ("loop", 0.9, True),
        ("loop fused", 1.2, False),
        ("keras fit", 0.3, True),
    ]


def test_of_several_memory_formats_the_faster_counts() -> None:
    peers = {"learner": peer(7.0), "loop": peer(12.0), "loop_channels-last": peer(9.0)}
    (goal,) = with_ratios(row(model="cnn", **peers))["goals"]
    # 7 / 12 would be within 0.75; 7 / 9 is not
    assert (goal["peer"], goal["ratio"], goal["met"]) == ("loop channels-last", 0.778, False)


def test_no_ratio_to_a_peer_with_other_losses() -> None:
    found = with_ratios(row(learner=peer(1.0), loop=peer(1.0), keras_fit=peer(3.0, difference=2e-3)))
    assert set(found["ratios"]) == {"loop"} and set(found["refused"]) == {"keras fit"}
    assert [(goal["peer"], goal["ratio"], goal["met"]) for goal in found["goals"]] == [
        ("loop", 1.0, True),
        ("keras fit", None, None),
    ]


@pytest.mark.parametrize("broken", [peer(1.0, difference=math.inf), peer(1.0, difference=2e-3), {"error": "no\nway"}])
def test_no_ratio_at_all_where_the_learner_is_the_one_that_differs(broken: dict[str, Any]) -> None:
    found = with_ratios(row(learner=broken, loop=peer(1.0)))
    assert found["ratios"] == {} and set(found["refused"]) == {"learner", "loop"}


def test_a_long_fit_is_judged_as_a_whole() -> None:
    found = with_ratios({**row(learner=peer(1.0, fit=3.0), loop=peer(1.0, fit=2.0)), "long": True})
    assert [(goal["ratio"], goal["met"]) for goal in found["goals"]] == [(1.5, False)]


def test_where_a_core_was_shared_the_time_of_the_processor_counts() -> None:
    waited = peer(3.0)
    waited["cpu_step_ms"] = {**waited["cpu_step_ms"], "median": 2.0}
    (ratios,) = with_ratios(row(learner=peer(1.0), loop=waited))["ratios"].values()
    assert (ratios["step"], ratios["cpu"], ratios["counted"]) == (0.333, 0.5, 0.5)


def test_a_goal_is_met_by_what_rounds_to_it() -> None:
    (goal,) = (goal for goal in GOALS if goal.at_most == 1.15)
    assert Verdict(goal, "loop fused", 1.1549).met is True
    assert Verdict(goal, "loop fused", 1.1551).met is False


def test_what_was_not_measured_again_stays_and_another_machine_or_version_starts_anew() -> None:
    machine = {"processor": "A", "cores": 2, "python": "3.11"}
    ours = [
        with_ratios(row(model=model, learner=peer(step), loop=peer(1.0))) for model, step in (("mlp", 1), ("cnn", 2))
    ]
    versions = {"versions": {"torch": "2.13"}}
    old = {**versions, "machine": machine, "training": ours, "cases": {"loaders": {"torch": {"rows": 1}}}}
    again = with_ratios(row(model="mlp", learner=peer(5.0), loop=peer(1.0)))
    new = {**versions, "machine": machine, "training": [again], "cases": {"loaders": {"jax": {"rows": 2}}}}
    both = merged(old, new)
    assert [each["peers"]["learner"]["step_ms"]["median"] for each in both["training"]] == [5.0, 2]
    assert both["cases"] == {"loaders": {"torch": {"rows": 1}, "jax": {"rows": 2}}}
    elsewhere = {**new, "machine": {**machine, "cores": 64}}
    assert merged(old, elsewhere) == elsewhere
    newer = {**new, "versions": {"torch": "2.14"}}
    assert merged(old, newer) == newer


def test_arguments_choose_and_no_arguments_choose_everything() -> None:
    models, batches = ("mlp", "cnn"), (16, 64)
    everything = parsed([], models, batches)
    assert (everything.cases, everything.frameworks) == (known_cases(), FRAMEWORKS)
    assert (everything.models, everything.batches, everything.partial) == (models, batches, False)
    one = parsed(["training", "--framework", "torch", "--model", "mlp", "--batch", "64"], models, batches)
    assert (one.cases, one.frameworks, one.models, one.batches) == (("training",), ("torch",), ("mlp",), (64,))
    assert one.partial and one.output == ROOT / "benchmarks"
    assert parsed(["--model", "cnn"], models, batches).cases == ("training",)
    quick = parsed(["--quick"], models, batches)
    assert (quick.output, quick.batches, quick.cases) == (None, (64,), known_cases())
    assert "dropout" in known_cases()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trainig"], "Known: training, "),
        (["--framework", "pytorch"], "'torch'"),
        (["training", "--model", "mpl"], "'mlp'"),
        (["--batch", "65"], "16"),
        (["dropout", "--model", "mlp"], "training"),
        (["--output", "nowhere/at/all"], "nowhere/at/all"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(arguments, ("mlp", "cnn"), (16, 64))
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_the_figures_of_a_case_are_held_against_its_goals() -> None:
    found = {"rows": {"write": {"mb_s": 250.0}, "read": {"mb_s": 400}}, "goals": {"mb_s": ["at least", 300]}}
    assert [line.rsplit(": ", 1)[-1] for line in case_lines("checkpoints", "", found)[1:]] == ["missed", "met"]
    lost, total, untold = missed({"training": [], "cases": {"checkpoints": {"": found}}})
    assert (lost, total, untold) == (["checkpoints  write: mb_s 250, at least 300"], 2, 0)


def test_a_dot_of_the_plot_is_left_of_one_where_the_learner_is_faster() -> None:
    drawn = picture({"training": [with_ratios(row(learner=peer(1.0), loop=peer(2.0), keras_fit=peer(0.5)))]})
    tree = ElementTree.fromstring(drawn)
    name = "{http://www.w3.org/2000/svg}"
    lines = {line.get("stroke"): float(line.get("x1") or 0) for line in tree.iter(f"{name}line")}
    dots = {
        (dot.findtext(f"{name}title") or "").split(" of ")[-1]: float(dot.get("cx") or 0)
        for dot in tree.iter(f"{name}circle")
        if dot.find(f"{name}title") is not None
    }
    assert dots["loop"] < lines["#444"] < dots["keras fit"]
    # on a logarithmic axis half as much and twice as much are equally far away
    assert lines["#444"] - dots["loop"] == pytest.approx(dots["keras fit"] - lines["#444"], abs=0.2)
