"""Strangers at the trees: who touched which device, when to look at it, and what was put right.

Events only say that it is time to look; what is so is read from the kernel. How soon a look follows is bounded, so that nobody
can keep the thread busy that also holds the policy.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edged.clock import Clock
from edged.daemon.drift import UNKNOWN, Process, Repair, remembered
from edged.daemon.treedrift import TreeDrift, TreeReason

_log = logging.getLogger(__name__)

AUDIT_SECONDS = 30.0  # between looks that no event asks for
DEAF_SECONDS = 2.0  # the same, where events cannot be heard

_SHARE = 4  # a look for others' sake is followed by this many times what it took: such looks take a fifth of the thread at most
_LEAST = 0.02  # s
# who changes the trees oftener than that is contending for them
_BURST = 30.0  # repairs at once
_REFILL = 1.0  # repairs a second
_FIRST_DELAY, _LONGEST_DELAY = 1.0, AUDIT_SECONDS


class Pace:
    """How soon after an event the trees are looked at: at once, unless looks take too long or a stranger contends. Pure.

    Times are seconds of a clock that never goes back.
    """

    def __init__(self) -> None:
        self.next = 0.0  # no event is a reason to look before
        self.delay = 0.0  # between repairs while somebody contends
        self._tokens = _BURST
        self._at = 0.0

    def looked(self, ended: float, repairs: int, cost: float) -> None:
        """A look that has ended found so much to put right, and others had the thread do that for `cost` seconds."""
        left = min(_BURST, self._tokens + (ended - self._at) * _REFILL) - repairs
        self._tokens, self._at = max(0.0, left), ended
        if not repairs:
            self.delay = 0.0
        elif left < 0 or self.delay:
            self.delay = min(max(self.delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
        self.next = ended + max(self.delay, cost * _SHARE, _LEAST)


@dataclass(frozen=True, slots=True)
class StrangersState:
    """How it stands; any thread may read it."""

    repairs: Mapping[TreeReason, int] = field(default_factory=lambda: dict.fromkeys(TreeReason, 0))
    recent: tuple[Repair, ...] = ()  # the newest first
    contention: str = ""  # who is repaired after with a delay, and how long that is
    deafness: str = ""  # why no event is heard


class Strangers:
    """The event loop notes, the writer thread looks."""

    def __init__(self, clock: Clock) -> None:
        self.state = StrangersState()
        self._clock = clock
        self._pace = Pace()
        self._suspects: dict[str, Process] = {}

    @property
    def audit_seconds(self) -> float:
        """How long a look that no event asked for may be put off."""
        return DEAF_SECONDS if self.state.deafness else AUDIT_SECONDS

    def note(self, device: str, process: Process) -> None:
        """An event said that this process touched that device, or what is on it."""
        self._suspects[device] = process

    def deafen(self, why: str) -> None:
        """From now on no event is heard."""
        self.state = replace(self.state, deafness=why)

    @property
    def have_touched(self) -> bool:
        """Whether an event asks for a look."""
        return bool(self._suspects)

    @property
    def next_look(self) -> float:
        """The time before which no event is a reason to look."""
        return self._pace.next

    def is_due(self, now: float) -> bool:
        """Whether an event asks for a look, and it is time for one."""
        return self.have_touched and now >= self.next_look

    def take(self) -> Mapping[str, Process]:
        """Who touched the devices until now, before they are looked at: what comes later is for the next look."""
        taken, self._suspects = self._suspects, {}
        return taken

    def looked(self, began: float, suspects: Mapping[str, Process], found: Sequence[TreeDrift]) -> None:
        """A look began then, and this was found and put right."""
        now = self._clock.boottime()
        # audits and looks at what edged itself has made come seldom enough, and must keep no repair waiting
        self._pace.looked(now, len(found), now - began if suspects else 0.0)
        for each in found:
            self._count(each, suspects.get(each.device, UNKNOWN))
        contention = ""
        if self._pace.delay:
            last = self.state.recent[0]
            contention = f"changed again and again, last by {last.process}: put right once in {self._pace.delay:.0f} s"
        self.state = replace(self.state, contention=contention)

    def _count(self, found: TreeDrift, culprit: Process) -> None:
        _log.warning(
            "drift (%s): the queueing of %s was changed by %s; it is put right: %s",
            found.reason.value, found.device, culprit, "; ".join(found.what),
        )  # fmt: skip
        counts = Counter(self.state.repairs)
        counts[found.reason] += 1
        recent = remembered(self.state.recent, Repair(self._clock.now(), found.reason.value, culprit, found.what))
        self.state = replace(self.state, repairs=counts, recent=recent)
