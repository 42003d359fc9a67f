"""The capper: sees to it that heavy flows are held to their caps. For the one thread that writes to the kernel.

Ten times a second it asks the kernel whose heavy flows have no lease, and gives leases; every few seconds it takes back what
nobody uses. It looks after the devices' trees as soon as somebody touched them, and now and then. What goes wrong ends all
leases, and nothing is slowed until the next try: caps fail open. What others may know is in `state`, which is replaced as a
whole.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from edged.addresses import Family
from edged.caps.book import Book, Changes, Shaped
from edged.caps.shapers import devices
from edged.caps.terms import Terms
from edged.clock import Clock
from edged.config.gateway import Gateway
from edged.daemon.capstate import CapState
from edged.daemon.strangers import Strangers
from edged.daemon.trees import Pools, Trees
from edged.daemon.usage import Usage
from edged.errors import EdgedError, KernelError
from edged.interfaces import is_wildcard
from edged.kernel.leases import Leases
from edged.kernel.tc import TrafficControl
from edged.loader import Configuration
from edged.policies.base import Mode
from edged.policies.capping import CAPPED
from edged.policies.caps import Caps
from edged.queueing.leases import LEASE_SECONDS, CapSets, LeaseStep, RemoveBucket, RemoveLease, RemovePolice
from edged.queueing.tree import Lease, Rate
from edged.ruleset.nodes import Direction

_log = logging.getLogger(__name__)

USE_SECONDS = 2.0
RETRY_SECONDS = 2.0
_MOST_AGAIN = 20  # who spoils more of it is none that comes and goes: it is told as trouble, and tried less often
RENEW_SECONDS = LEASE_SECONDS / 3


class Capper:
    """Gives and takes leases by what the kernel shows; `strangers` is to be told what others do to the trees."""

    def __init__(self, leases: Leases, traffic: TrafficControl, clock: Clock, line: Callable[[str], Rate]) -> None:
        self.state = CapState()
        self.strangers = Strangers(clock)
        self._leases = leases
        self._trees = Trees(traffic, line)
        self._clock = clock
        self._configuration: Configuration | None = None
        self._terms: Terms | None = None
        self._book = Book()
        self._whole: Pools = {}  # whose classes there were at the last look
        self._look_at = self._use_at = self._renew_at = self._retry_at = 0.0
        self._usage = Usage()
        self._again = 0  # how often in a row work at the trees was taken for spoilt by strangers
        self._released: tuple[str, ...] = ()  # the devices that ticks took trees from, since nothing is in force

    @property
    def is_pressed(self) -> bool:
        """Whether a pool is being made, or has just been and is to be looked at, so that the next tick is due at once."""
        return self._trees.is_building or (self._terms is not None and self._look_at <= 0.0)

    def tick(self, configuration: Configuration | None) -> None:
        """Do what is due under that configuration; None: nothing is enforced. Raises nothing."""
        now = self._clock.boottime()
        if now < self._retry_at:
            return
        try:
            self._tick(configuration, now)
        # whatever goes wrong here must end neither the loop nor anybody's flows
        except Exception as error:  # noqa: BLE001
            self._fail(error, now)
        else:
            if self.state.trouble:
                _log.info("heavy flows are capped again")
                self.state = replace(self.state, trouble="")

    def release(self) -> tuple[str, ...]:
        """Nobody is capped, and edged's trees are gone; the devices that they were on, of ticks since nothing is in force too.

        Raises KernelError.
        """
        self._released += self._end_all()
        devices, self._released = self._released, ()
        return devices

    def end(self) -> None:
        """The daemon ends: nobody is capped while no one looks. Raises KernelError."""
        if self._terms is not None:
            self._clear()

    def _tick(self, configuration: Configuration | None, now: float) -> None:
        if configuration is not self._configuration:
            self._take(configuration)
        if self._terms is None or configuration is None:
            return
        # a pool that is being made is looked at when it is there: making it is a change of the device, too
        if now >= self._look_at or (self.strangers.is_due(now) and not self._trees.is_building):
            self._look_at = now + self.strangers.audit_seconds
            self._look_after_trees(self._terms, configuration.edged.gateway)
        self._build()
        heavy = {sets: self._leases.heavy(sets) for sets, _ in self._terms.sets}
        if any(heavy.values()):
            self._carry_out(self._book.give(now, replace(self._terms, pools=self._trees.whole_pools), heavy))
        if now >= self._use_at:
            self._use_at = now + USE_SECONDS
            self._look_after_use(now)
        if now >= self._renew_at:
            self._renew_at = now + RENEW_SECONDS
            self._carry_out(self._book.renew())
        self._tell()

    def _build(self) -> None:
        try:
            if self._trees.build():
                self._look_at = 0.0
        except KernelError as error:
            self._look_again(error)

    def _look_again(self, failed: KernelError) -> None:
        """After work at the trees that a stranger made fail, by whom no lease is to end. Raises the error where nobody did."""
        self._again += 1
        if self._again > _MOST_AGAIN or (failed.errno != errno.ENODEV and not self.strangers.have_touched):
            raise failed
        _log.warning("%s; somebody changed the devices or their queueing meanwhile: they are looked at again", failed)
        self._look_at = max(self._clock.boottime(), self.strangers.next_look)

    def _tell(self) -> None:
        policed = {direction: each.why_policed for direction, each in self._trees.ways.items() if each.why_policed}
        for direction, why in policed.items():
            if self.state.policed.get(direction) != why:
                _log.warning("heavy flows %s are policed, not shaped: %s", direction.value, why)
        pools = {direction: len(pool) for direction, pool in self._trees.pools.items()}
        leased = {direction: self._book.leased(direction) for direction in pools}
        self.state = replace(self.state, active=True, able=self._trees.able, policed=policed, pools=pools, leased=leased)

    def _take(self, configuration: Configuration | None) -> None:
        """Another configuration is in force: its caps, to the leases there are."""
        if configuration is None:
            self._released += self._end_all()  # whoever tears down may come to it later than a tick
            return
        self._released = ()
        caps = caps_in_force(configuration)
        if caps is None:
            self._end_all()
        else:
            if self._terms is None:
                self._clear()  # what a daemon before this one left
            self._terms = Terms(caps, configuration.subscribers)
            self._look_at = 0.0
            self._trees.forget()
        self._configuration = configuration

    def _end_all(self) -> tuple[str, ...]:
        self._clear()
        self._terms, self._configuration = None, None
        devices = self._trees.release()
        self.state = CapState(able=self.state.able, shaped=self.state.shaped)
        return devices

    def _look_after_trees(self, terms: Terms, gateway: Gateway) -> None:
        leases: dict[Direction, list[Lease]] = {direction: [] for direction in Direction}
        for grant in self._book.grants.values():
            if isinstance(grant.method, Shaped):
                leases[grant.account.direction].append(Lease(grant.method.classid, grant.rate))
        began, suspects = self._clock.boottime(), self.strangers.take()
        try:
            drifts = self._trees.look_after(terms.caps, gateway, leases)
        except KernelError as error:
            self._look_again(error)
            return
        self.strangers.looked(began, suspects, drifts)
        if not self._trees.is_building:
            self._again = 0
        # a lease is kept while one of its devices is made anew: the others hold it
        if self._trees.pools != terms.pools:  # else it is as when the leases were given, or considered last
            self._terms = replace(terms, pools=self._trees.pools)
            self._carry_out(self._book.reconsider(self._terms))
        # while a pool is made its subscribers are policed, and those that never rest would be for ever
        came = [direction for direction, pool in self._trees.whole_pools.items() if pool and not self._whole.get(direction)]
        self._whole = self._trees.whole_pools
        self._carry_out(self._book.give_up_buckets(came))

    def _look_after_use(self, now: float) -> None:
        """Take back what nobody uses, and tell what everybody does."""
        try:
            works = self._trees.work()
        except KernelError as error:
            self._look_again(error)
            return
        looked = self._usage.look(now, works, self._book.grants.values())
        self._carry_out(self._book.take_back(now))
        uses = tuple(use for grant, use in looked if grant.account in self._book.grants)
        self.state = replace(self.state, capped=self._book.count, uses=uses, shaped=dict(self._usage.shaped))

    def _carry_out(self, changes: Changes) -> None:
        """In this order a packet never meets a class that has not its rate yet."""
        if not changes:
            return
        is_whole = self._trees.change(changes.rates)
        self._leases.apply(changes.steps)
        if not self._trees.change(changes.idle) or not is_whole:
            self._look_at = 0.0
        self.state = replace(self.state, capped=self._book.count)

    def _clear(self) -> None:
        """End every lease, those of the kernel that no book has too; classes go idle at the next look."""
        self._book = Book()
        self._trees.forget()
        self._leases.apply(list(self._all_in_kernel()))
        self._look_at = 0.0
        self.state = replace(self.state, capped={}, uses=())

    def _all_in_kernel(self) -> Iterator[LeaseStep]:
        for flow_class in CAPPED:
            for direction in Direction:
                for family in Family:
                    sets = CapSets(direction, flow_class.label, family)
                    yield from (RemoveLease(sets, each.key) for each in self._leases.leased(sets))
                    yield from (RemovePolice(sets, each.key) for each in self._leases.policed(sets))
        yield from (RemoveBucket(bucket.name) for bucket in self._leases.buckets())

    def _fail(self, error: Exception, now: float) -> None:
        self._retry_at = now + RETRY_SECONDS
        if str(error) != self.state.trouble:
            unexpected = None if isinstance(error, EdgedError | OSError) else error
            _log.error("heavy flows are not capped, tried anew each %.0f s: %s", RETRY_SECONDS, error, exc_info=unexpected)
        try:
            self._clear()
        except (EdgedError, OSError) as also:
            _log.error("leases in the kernel stay for now: %s", also)
        self._configuration = None  # at the next try from the beginning
        self._terms = None
        self.state = replace(self.state, trouble=str(error))


def caps_of(configuration: Configuration | None) -> Caps | None:
    """The caps, if there are any that are not off."""
    for placed in configuration.policies if configuration is not None else ():
        if isinstance(placed.settings, Caps) and placed.settings.mode is not Mode.OFF:
            return placed.settings
    return None


def caps_in_force(configuration: Configuration | None) -> Caps | None:
    """The caps that are enforced, if any are."""
    caps = caps_of(configuration)
    return caps if caps is not None and caps.mode is Mode.ENFORCE else None


def shaped_devices(configuration: Configuration | None) -> frozenset[str]:
    """The names of the devices that have a tree under that configuration, or would if they were there and let edged."""
    if configuration is None or caps_in_force(configuration) is None:
        return frozenset()
    named = (name for names in devices(configuration.edged.gateway).values() for name in names)
    return frozenset(name for name in named if not is_wildcard(name))
