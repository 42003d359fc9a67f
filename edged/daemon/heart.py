"""The heartbeat: systemd hears READY once, STATUS when it changes, and WATCHDOG while the policy is really looked after."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edged.clock import Clock
from edged.daemon.keeper import KeeperState
from edged.daemon.report import View, line
from edged.daemon.systemd import Systemd
from edged.daemon.watch import AUDIT_SECONDS

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 1.0
# the loop polls each second and audits each half minute; later than this it hangs, and a restart is the cure
_LOOP_STALE = 5.0
_RULES_STALE = AUDIT_SECONDS + 15.0


def is_fresh(kept: KeeperState, boottime: float) -> bool:
    """Whether the loop goes round and the live rules were looked at of late.

    A kernel that refuses is looked at too: to end for that would only add a restart to the trouble.
    """
    looked = not kept.enforcing or boottime - kept.compared <= _RULES_STALE
    return looked and boottime - kept.passed <= _LOOP_STALE


class Heart:
    """Tells systemd how the daemon does."""

    def __init__(self, systemd: Systemd, clock: Clock, view: Callable[[], View]) -> None:
        self.line = ""
        self._systemd = systemd
        self._clock = clock
        self._view = view
        self._stale = False

    def ready(self) -> None:
        """The policy is in force and verified."""
        self.line = line(self._view())
        self._systemd.ready(self.line)

    async def run(self) -> None:
        """Beat until cancelled."""
        watchdog = self._systemd.watchdog_seconds
        pause = _BEAT_SECONDS if watchdog is None else min(_BEAT_SECONDS, watchdog / 2)
        while True:
            await asyncio.sleep(pause)
            self.beat()

    def beat(self) -> None:
        """One beat."""
        view = self._view()
        if (now := line(view)) != self.line:
            self.line = now
            self._systemd.status(now)
        if is_fresh(view.kept, self._clock.boottime()):
            self._systemd.alive()
            self._stale = False
        elif not self._stale:
            _log.error("the loop that holds the policy hangs; systemd's watchdog hears no more of us")
            self._stale = True
