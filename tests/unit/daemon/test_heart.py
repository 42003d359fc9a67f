"""The watchdog hears of us only while the loop goes round and the rules themselves were looked at."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edged.daemon.boot import choose
from edged.daemon.heart import Heart, is_fresh
from edged.daemon.keeper import KeeperState
from edged.daemon.report import View
from edged.daemon.systemd import Systemd
from tests.unit.daemon.daemons import Rig


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


class Recorder(Systemd):
    """A service manager that writes down what it is told."""

    def __init__(self) -> None:
        super().__init__({}, 1)
        self.told: list[str] = []

    def _send(self, text: str, *descriptors: int) -> None:
        self.told.append(text)


def test_a_beat_tells_what_is_new_and_is_no_beat_once_the_loop_hangs(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    changes = rig.changes()
    rig.clock.advance(1000)
    asyncio.run(changes.start(choose(rig.load, rig.state)))
    view = View(changes.record, rig.keeper.state, rig.lock, {}, frozenset({"lan0", "wan0"}), (), None, (), (), "")
    systemd = Recorder()
    heart = Heart(systemd, rig.clock, lambda: view)
    heart.ready()
    heart.beat()
    view = replace(view, present=frozenset({"lan0"}))
    heart.beat()
    rig.clock.advance(6)
    heart.beat()
    heart.beat()
    assert systemd.told == [
        "READY=1\nSTATUS=The files are in force",
        "WATCHDOG=1",
        "STATUS=The files are in force; absent: wan0",
        "WATCHDOG=1",
    ]
    assert [record.levelname for record in caplog.records if "hangs" in record.message] == ["ERROR"]
