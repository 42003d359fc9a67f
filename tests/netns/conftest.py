"""Fixtures over the throw-away gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edged.lab.topology import Topology


@pytest.fixture
def topology() -> Iterator[Topology]:
    """Fresh namespaces for one test."""
    with Topology() as made:
        yield made


@pytest.fixture(scope="module")
def shared_topology() -> Iterator[Topology]:
    """Namespaces for all tests of one file, for those that leave nothing behind in them."""
    with Topology() as made:
        yield made
