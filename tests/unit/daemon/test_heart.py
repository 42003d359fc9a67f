"""The watchdog hears of us only while the loop goes round and the rules themselves were looked at."""

from __future__ import annotations

import pytest

from edged.daemon.heart import is_fresh
from edged.daemon.keeper import KeeperState


@pytest.mark.parametrize(
    ("state", "fresh"),
    [
        (KeeperState(enforcing=True, in_sync=True, passed=999, compared=970), True),
        (KeeperState(enforcing=True, in_sync=False, trouble="refused", passed=999, compared=999), True),
        (KeeperState(enforcing=True, in_sync=True, passed=994, compared=999), False),
        (KeeperState(enforcing=True, in_sync=True, passed=999, compared=954), False),
        (KeeperState(enforcing=False, passed=999, compared=0), True),
        (KeeperState(enforcing=False, passed=994, compared=0), False),
    ],
)
def test_freshness(state: KeeperState, *, fresh: bool) -> None:
    assert is_fresh(state, boottime=1000) is fresh
