"""The keeper: holds the kernel at the desired state, and knows how that goes.

All of it runs in the one thread that writes to the kernel, so nothing here needs a lock. What others may know is in `state`, an
immutable record that is replaced as a whole.

    hold(tables)   a new desired state: dry run, apply, verify; on failure the former one is held on to
    look()         did the generation move? then compare, and repair what others did
    audit()        compare whatever the generation says
    release()      nothing of edged is left in the kernel, and nothing is kept
    leave()        the daemon ends, the policy stays
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

from edged.clock import Clock
from edged.daemon.drift import Drift, Process, Reason, Repair, Suspects, drift, remembered
from edged.daemon.durations import Durations
from edged.daemon.totals import Totals
from edged.enforce import ATTEMPTS, Enforced, enforce
from edged.errors import EdgedError, KernelError, StalePlan
from edged.kernel import Kernel
from edged.ruleset.diff import diff
from edged.ruleset.nodes import QueueForm
from edged.ruleset.observed import Observed
from edged.ruleset.plan import Desired, Lock
from edged.ruleset.sets import AddressSet
from edged.ruleset.tree import Table

_log = logging.getLogger(__name__)

# after a failure the next try waits, longer each time; a kernel that refuses is asked twice a minute for ever
FIRST_RETRY = 0.1
LONGEST_RETRY = 30.0


class Tables(Protocol):
    """What is to be enforced: the table as of a moment, since exemptions end."""

    def table(self, now: int) -> Table:
        """The table at `now`, seconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class KeeperState:
    """How it stands; any thread may read it."""

    enforcing: bool = False
    in_sync: bool = False
    generation: int = 0
    trouble: str = ""  # why it is not in sync
    repairs: Mapping[Reason, int] = field(default_factory=lambda: MappingProxyType(dict.fromkeys(Reason, 0)))
    recent: tuple[Repair, ...] = ()  # repairs, the newest first
    applied: Durations = field(default_factory=Durations)
    passed: float = 0.0  # CLOCK_BOOTTIME at which the last look or audit ended, well or not
    compared: float = 0.0  # CLOCK_BOOTTIME at which the live rules were last read, or reading them failed


@dataclass(frozen=True, slots=True)
class _Held:
    """What is enforced: where it comes from, how it was left, and when it changes by itself."""

    tables: Tables
    desired: Desired
    ends: float  # the next moment at which an exemption ends


class Keeper:
    """Holds one kernel at one desired state; for one thread."""

    def __init__(
        self, kernel: Kernel, lock: Lock, queue: QueueForm | None, clock: Clock, totals: Totals, suspects: Suspects
    ) -> None:
        self.state = KeeperState()
        self._kernel = kernel
        self._lock = lock
        self._queue = queue
        self._clock = clock
        self._totals = totals
        self._suspects = suspects
        self._held: _Held | None = None
        self._delay = 0.0
        self._retry_at = 0.0

    @property
    def retry_in(self) -> float | None:
        """Seconds until a failed repair is tried again; None where nothing failed."""
        return max(0.0, self._retry_at - self._clock.boottime()) if self._delay else None

    def hold(self, tables: Tables) -> Enforced:
        """Enforce this from now on. Raises EdgedError; then what was held before still is."""
        held = self._compile(tables)
        self._judge(held.desired)
        self._totals.declare(held.desired.table.counters)
        self._totals.read()  # a counter that the change removes is read a last time
        try:
            enforced = self._enforce(held)
        except EdgedError:
            self._put_back()
            raise
        self._settled(enforced.generation)
        return enforced

    def release(self) -> Enforced:
        """Remove all that edged made, and keep nothing from now on. Raises EdgedError; then all is as before."""
        self._totals.read()
        enforced = enforce(self._kernel, None, self._clock.now)
        self._held = None
        self._delay = 0.0
        now = self._clock.boottime()
        self.state = replace(self.state, enforcing=False, in_sync=False, trouble="", generation=enforced.generation, passed=now)
        return enforced

    def look(self) -> None:
        """Repair, where the ruleset's generation moved and it was our table that changed. Raises nothing."""
        self._pass(self._look)

    def audit(self) -> None:
        """Compare the whole table whatever the generation says, and repair it. Raises nothing."""
        self._pass(self._audit)

    def leave(self) -> None:
        """End with the policy in force. Raises EdgedError where that cannot be made sure."""
        held, self._held = self._held, None
        try:
            if held is not None and self._lock is Lock.OWNER:
                # such a table goes with its socket: one batch replaces it by the same without an owner
                enforce(self._kernel, replace(held.desired, lock=Lock.NONE), self._clock.now)
        finally:
            self._kernel.close()

    # --- one pass ---

    def _pass(self, action: Callable[[], None]) -> None:
        if self._held is not None and self._clock.boottime() >= self._retry_at:
            try:
                action()
            # whatever goes wrong here must not end the loop that holds the policy
            except Exception as error:  # noqa: BLE001
                self._failed(error)
        self.state = replace(self.state, passed=self._clock.boottime())

    def _look(self) -> None:
        assert self._held is not None  # noqa: S101  _pass asked
        if self._clock.now() >= self._held.ends:
            self._compare(self._compile(self._held.tables))
        elif self._kernel.generation() != self.state.generation or not self.state.in_sync:
            self._compare(self._held)

    def _audit(self) -> None:
        assert self._held is not None  # noqa: S101  _pass asked
        # compiled anew: the wall clock may have been set since
        self._compare(self._compile(self._held.tables))

    def _compare(self, wanted: _Held) -> None:
        assert self._held is not None  # noqa: S101  _pass asked
        began = self._clock.boottime()
        left, since, now = self._held.desired, self.state.generation, self._clock.now()
        observed = self._kernel.observe()
        enforced = self._enforce(wanted, observed)
        self._settled(enforced.generation)
        # All that is told of it waits until it is repaired. By then the event loop has heard of the commit, too.
        if enforced.plan and (found := drift(left, observed, now)) is not None:
            culprit = self._suspects.between(since, observed.generation)
            self._count(found, culprit, self._clock.boottime() - began)

    def _enforce(self, wanted: _Held, seen: Observed | None = None) -> Enforced:
        began = self._clock.boottime()
        enforced = enforce(self._kernel, wanted.desired, self._clock.now, seen=seen)
        self._held = wanted
        if enforced.plan:
            self.state = replace(self.state, applied=self.state.applied.with_one(self._clock.boottime() - began))
            self._totals.read()  # a counter that was made anew is seen at nothing, not only when it has passed its former self
        return enforced

    # --- parts ---

    def _compile(self, tables: Tables) -> _Held:
        now = self._clock.now()
        try:
            table = tables.table(int(now))
        except ValueError as error:
            raise EdgedError(f"the policies do not fit together: {error}; what is in force stays in force") from error
        ranges = (made for made in table.sets if isinstance(made, AddressSet))
        ends = min((each.until for made in ranges for each in made.elements if each.until is not None), default=float("inf"))
        return _Held(tables, Desired(table, self._lock, self._queue), ends)

    def _judge(self, desired: Desired) -> None:
        for _ in range(ATTEMPTS):
            try:
                self._kernel.check(diff(desired, self._kernel.observe()), now=self._clock.now())
            except StalePlan:
                continue
            return
        raise KernelError("the ruleset does not come to rest: something else keeps changing it. Look for it with: nft monitor")

    def _put_back(self) -> None:
        """After a failed change: nothing of it may stay, and what it did is not drift."""
        if self._held is None:
            return
        try:
            self._settled(enforce(self._kernel, self._held.desired, self._clock.now).generation)
        except EdgedError as error:
            self._failed(error)

    def _settled(self, generation: int) -> None:
        if self.state.trouble:
            _log.info("in sync again")
        self._delay = 0.0
        self._retry_at = 0.0
        now = self._clock.boottime()
        # a start or a change that succeeded is a look as well: the watchdog's first beat may come before the first one
        self.state = replace(
            self.state, enforcing=True, in_sync=True, trouble="", generation=generation, compared=now, passed=now
        )

    def _failed(self, error: Exception) -> None:
        self._delay = min(self._delay * 2 or FIRST_RETRY, LONGEST_RETRY)
        now = self._clock.boottime()
        self._retry_at = now + self._delay
        expected = isinstance(error, EdgedError | OSError)
        _log.error("not in sync, next try in %.1f s: %s", self._delay, error, exc_info=None if expected else error)
        self.state = replace(self.state, in_sync=False, trouble=str(error), compared=now)

    def _count(self, found: Drift, culprit: Process, seconds: float) -> None:
        shown = found.what if len(found.what) <= 6 else (*found.what[:5], f"and {len(found.what) - 5} more")
        _log.warning(
            "drift (%s): table inet edged was changed by %s; repaired in %.1f ms: %s",
            found.reason.value, culprit, seconds * 1000, "; ".join(shown),
        )  # fmt: skip
        repairs = MappingProxyType({**self.state.repairs, found.reason: self.state.repairs[found.reason] + 1})
        recent = remembered(self.state.recent, Repair(self._clock.now(), found.reason.value, culprit, found.what))
        self.state = replace(self.state, repairs=repairs, recent=recent)
