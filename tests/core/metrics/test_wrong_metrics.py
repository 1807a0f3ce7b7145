"""A metric of a user's own whose host half returns something else: refused by name, wherever it is called first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

from multilearn.errors import ConfigurationError
from multilearn.metrics import Entry


class Mistaken:
    """`merged` and `entered` are returned in place of what they should."""

    name, unit, numeric = "Mistaken", "", True

    def __init__(self, **wrong: Any) -> None:
        self._wrong = wrong

    def measure(self, ops: Any, output: Any) -> Mapping[str, Any]:
        return {"loss": output.loss}

    def merge(self, state: Any, measured: Any) -> Any:
        return self._wrong.get("merged", {"loss": measured["loss"]})

    def entry(self, state: Any) -> Any:
        return self._wrong.get("entered", Entry(float(state["loss"])))


@pytest.mark.parametrize("registered", ["metrics", "metric_train"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"entered": 0.5}, r"entry must return an Entry\. Received: float\. Return multilearn\.metrics\.Entry"),
        ({"entered": None}, r"entry must return an Entry\. Received: NoneType"),
        ({"merged": None}, r"merge must return the state after one more batch\. Received: None\. Return a new dict"),
    ],
)
def test_what_its_host_half_returns_is_refused_by_name(
    tmp_path: Path, wrong: dict[str, Any], said: str, registered: str
) -> None:
    builder = getattr(toy.builder(tmp_path / "run"), registered)(Mistaken(**wrong))
    with pytest.raises(ConfigurationError, match=rf"The metric Mistaken: its method {said}"):
        toy.fit(builder)
