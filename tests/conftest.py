"""What every suite shares: `--isolated`, unhurried property tests, and signals that reach what tests start."""

from __future__ import annotations

import signal
from types import FrameType

import hypothesis
import pytest

# how long an example takes says more about the machine than about the code
hypothesis.settings.register_profile(
    "unhurried", hypothesis.settings.get_profile("default"), deadline=None, max_examples=50
)
hypothesis.settings.load_profile("unhurried")


LONG = (
    *("test_examples.py", "test_ranks.py", "test_several_devices.py", "test_documentation.py"),
    *("test_ports.py", "test_moving.py", "test_testing_plugin.py", "test_grid_command.py", "test_run_command.py"),
)
"""Files that take longest, first: two processes that share the files then end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_configure(config: pytest.Config) -> None:
    """Have signals that this process ignores, under `nohup` or in the background of a shell, reach what tests start.

    A process inherits that a signal is ignored, and no handler: with one that does nothing, this process goes on as
    before, and those that it starts have the default. What only starts xdist's workers leaves it to them.
    """
    starts_workers = getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput")
    for name in () if starts_workers else ("SIGHUP", "SIGINT", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _goes_on)


def _goes_on(number: int, frame: FrameType | None) -> None:
    """As if the signal were ignored."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--isolated",
        action="store_true",
        help="fail where a framework is installed that this suite must do without (the nox sessions ask for it)",
    )


@pytest.fixture
def isolated(request: pytest.FixtureRequest) -> None:
    """For tests of the environment itself, which hold only where nox has made it."""
    if not request.config.getoption("--isolated"):
        pytest.skip("asks for an environment of its own: --isolated")
