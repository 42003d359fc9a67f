"""A machine for each test: the fake host, and the real kernel in a network namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.machines import FakeMachine, LinuxMachine, Machine
from tests.tiers import missing_for_namespaces, require


def _linux_machine() -> Iterator[LinuxMachine]:
    if reason := missing_for_namespaces():
        require("netns", reason)
    made = LinuxMachine()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["fake", "linux"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Both kernels, one after the other."""
    if request.param == "fake":
        yield FakeMachine()
    else:
        yield from _linux_machine()


@pytest.fixture
def linux() -> Iterator[LinuxMachine]:
    """The real kernel alone, for what only it has."""
    yield from _linux_machine()


@pytest.fixture
def other_linux() -> Iterator[LinuxMachine]:
    """A second one, to compare with."""
    yield from _linux_machine()
