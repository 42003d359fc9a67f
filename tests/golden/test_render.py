"""Configurations and the ruleset that each becomes, as text that a person can read. `--update-golden` writes the texts anew."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from edged.ruleset.render import render
from tests.golden.cases import CASES, MOMENT, configuration, expected


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A date in a file ends with the local day."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("case", CASES)
def test_render(case: str, request: pytest.FixtureRequest) -> None:
    now = int(MOMENT.timestamp())
    text = render(configuration(case).table(now), now)
    if request.config.getoption("--update-golden"):
        expected(case).write_text(text)
    assert expected(case).read_text() == text, "look at the difference; where it is right: pytest tests/golden --update-golden"
