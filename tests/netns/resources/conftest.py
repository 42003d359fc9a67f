"""The daemon under attack: a real one, that a stand-in for systemd listens to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edged.lab.topology import Topology
from tests.netns.daemon_process import Daemon


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    try:
        yield made
    finally:
        made.close()
