"""Fixtures over a Debian machine with edged installed from the wheel, as `systemd/install` does it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edged.lab.topology import Topology
from tests.systemd.disk import Disk
from tests.systemd.machine import Machine


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    """A disk for all tests of one file, with the shipped example in force from the first boot on."""
    with Disk() as made:
        made.serve()
        yield made


@pytest.fixture(scope="module")
def machine(disk: Disk) -> Iterator[Machine]:
    """One boot for all tests of one file, with edged ready, the interfaces up and caps' trees on them."""
    with Topology() as topology, Machine(disk, topology) as booted:
        booted.await_network()
        booted.await_shaped()
        yield booted
