"""What every suite shares: the `--isolated` option and unhurried property tests."""

from __future__ import annotations

import hypothesis
import pytest

# how long an example takes says more about the machine than about the code
hypothesis.settings.register_profile("unhurried", hypothesis.settings.get_profile("default"), deadline=None)
hypothesis.settings.load_profile("unhurried")


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
