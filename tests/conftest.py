"""What all tests share: a marker by folder, tiers that say why they cannot run, and two hypothesis profiles.

`EDGED_PROFILE=long` draws many random examples; the default, `short`, draws few and the same ones each time.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import promises, secrecy
from tests.promises import NUMBER, measured, numbers_of
from tests.tiers import TIERS, missing, require, required

__all__ = ["measured"]  # a fixture for all

TESTS = Path(__file__).parent

settings.register_profile(
    "short", max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("long", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile(os.environ.get("EDGED_PROFILE", "short"))


def tier_of(item: pytest.Item) -> str:
    """The tier an item belongs to: the first folder under `tests/`."""
    return item.path.relative_to(TESTS).parts[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden texts anew; then read the difference")
    parser.addoption(
        "--promise", action="append", type=int, metavar="N", help="only the harnesses of promise N (tests/promises.py)"
    )
    parser.addoption(
        "--keep-promises", type=Path, metavar="FILE", help="keep what harnesses said in a file, in place of the table"
    )
    parser.addoption("--kept-promises", type=Path, metavar="FILE", help="the table has what was kept there, too")


def pytest_configure(config: pytest.Config) -> None:
    required()
    secrecy.begin()
    for tier, meaning in TIERS.items():
        config.addinivalue_line("markers", f"{tier}: {meaning}")
    config.addinivalue_line("markers", "promise(N): a harness of promise N of tests/promises.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # the emulated machine first: it keeps one of two workers waiting while the other goes through the rest; last the search
    # through what all others made edged write
    items.sort(key=lambda item: (tier_of(item) != "vm", tier_of(item) == "test_secrecy.py"))
    for item in items:
        if (tier := tier_of(item)) in TIERS:
            item.add_marker(tier)
        item.user_properties.extend((NUMBER, number) for number in numbers_of(item))
    if wanted := config.getoption("promise"):
        items[:] = [item for item in items if not set(wanted).isdisjoint(numbers_of(item))]


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # of xdist: the folder is the controller's
        secrecy.end()


def pytest_runtest_setup(item: pytest.Item) -> None:
    tier = tier_of(item)
    if reason := missing(tier):
        require(tier, reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = (report for found in terminalreporter.stats.values() for report in found if isinstance(report, pytest.TestReport))
    found, option = list(promises.outcomes(reports)), terminalreporter.config.getoption
    if (kept := option("keep_promises")) is not None:
        promises.write(kept, found)
        return
    if (kept := option("kept_promises")) is not None:
        found = [*promises.read(kept), *found]
    if lines := list(promises.table(found)):
        terminalreporter.section("promises")
        for line in lines:
            terminalreporter.line(line)
