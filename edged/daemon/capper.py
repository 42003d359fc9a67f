"""The capper: sees to it that heavy flows are held to their caps. For the one thread that writes to the kernel.

Ten times a second it asks the kernel whose heavy flows have no lease, and gives leases; every few seconds it looks after the
devices' trees and takes back what nobody uses. What goes wrong ends all leases, and nothing is slowed until the next try: caps
fail open. What others may know is in `state`, which is replaced as a whole.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from edged.addresses import Family
from edged.caps.book import Book, Changes, ClassState, Method, Shaped
from edged.caps.shapers import Way, way
from edged.caps.terms import Terms
from edged.clock import Clock
from edged.config.gateway import Gateway
from edged.errors import EdgedError, KernelError
from edged.kernel.leases import Leases
from edged.kernel.tc import TrafficCapabilities, TrafficControl
from edged.loader import Configuration
from edged.marks import FlowClass
from edged.policies.base import Mode
from edged.policies.capping import CAPPED
from edged.policies.caps import Caps
from edged.queueing.diff import diff
from edged.queueing.leases import LEASE_SECONDS, CapSets, LeaseStep, RemoveBucket, RemoveLease, RemovePolice
from edged.queueing.observed import ObservedDevice
from edged.queueing.plan import Addition, ChangeClass
from edged.queueing.tree import ClassId, Lease, Rate, Tree
from edged.ruleset.nodes import Direction

_log = logging.getLogger(__name__)

DEVICES_SECONDS = 2.0  # between looks at the devices' trees
USE_SECONDS = 2.0
RETRY_SECONDS = 2.0
RENEW_SECONDS = LEASE_SECONDS / 3
_STEPS_AT_A_TIME = 256  # of a pool that is being made: the thread has a policy to look after meanwhile


@dataclass(frozen=True, slots=True)
class Use:
    """A lease, for `edged top`; `subscriber` is an id, or the prefix of one without a row. Bits a second, None: not counted."""

    subscriber: str
    plan: str | None
    flow_class: FlowClass
    direction: Direction
    shaped: bool
    cap: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class CapState:
    """How it stands; any thread may read it."""

    active: bool = False
    policed: Mapping[Direction, str] = field(default_factory=dict)  # why a direction's subscribers are policed, not shaped
    pools: Mapping[Direction, int] = field(default_factory=dict)
    capped: Mapping[tuple[FlowClass, type[Method]], int] = field(default_factory=dict)
    uses: tuple[Use, ...] = ()
    trouble: str = ""


class Capper:
    """Gives and takes leases by what the kernel shows."""

    def __init__(self, leases: Leases, traffic: TrafficControl, clock: Clock, line: Callable[[str], Rate]) -> None:
        self.state = CapState()
        self._leases = leases
        self._traffic = traffic
        self._clock = clock
        self._line = line
        self._capabilities: TrafficCapabilities | None = None
        self._configuration: Configuration | None = None
        self._terms: Terms | None = None
        self._ways: dict[Direction, Way] = {}
        self._book = Book()
        self._building: deque[Addition] = deque()
        self._made: frozenset[str] = frozenset()  # the devices whose trees are whole
        self._look_at = self._use_at = self._renew_at = self._retry_at = 0.0
        self._sent: dict[Direction, dict[ClassId, int]] = {}
        self._sent_at = 0.0

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

    def look(self) -> None:
        """A device came or went: look at the trees at the next tick."""
        self._look_at = 0.0

    def release(self) -> None:
        """Nobody is capped, and edged's trees are gone. Raises KernelError."""
        if self._terms is None and not self._ways:
            return
        self._clear()
        self._terms, self._configuration, self._ways, self._made = None, None, {}, frozenset()
        self._building.clear()
        self._traffic.apply(diff((), self._traffic.observe()).removals)
        self.state = CapState()

    def end(self) -> None:
        """The daemon ends: nobody is capped while no one looks. Raises KernelError."""
        if self._terms is not None:
            self._clear()

    def _tick(self, configuration: Configuration | None, now: float) -> None:
        if configuration is not self._configuration:
            self._take(configuration)
        if self._terms is None or configuration is None:
            return
        if now >= self._look_at:
            self._look_at = now + DEVICES_SECONDS
            self._look_after_devices(self._terms, configuration.edged.gateway)
        self._build()
        heavy = {sets: self._leases.heavy(sets) for sets, _ in self._terms.sets}
        if any(heavy.values()):
            self._carry_out(self._book.give(now, self._whole(self._terms), heavy))
        if now >= self._use_at:
            self._use_at = now + USE_SECONDS
            self._look_after_use(now)
        if now >= self._renew_at:
            self._renew_at = now + RENEW_SECONDS
            self._carry_out(self._book.renew())
        policed = {direction: each.why_policed for direction, each in self._ways.items() if each.why_policed}
        for direction, why in policed.items():
            if self.state.policed.get(direction) != why:
                _log.warning("heavy flows %s are policed, not shaped: %s", direction.value, why)
        pools = {direction: len(each.pool) for direction, each in self._ways.items()}
        self.state = replace(self.state, active=True, policed=policed, pools=pools)

    def _take(self, configuration: Configuration | None) -> None:
        """Another configuration is in force: its caps, to the leases there are."""
        caps = caps_in_force(configuration)
        if configuration is None or caps is None:
            self.release()
        else:
            if self._terms is None:
                self._clear()  # what a daemon before this one left
            self._terms = Terms(caps, configuration.subscribers)
            self._look_at = 0.0
        self._configuration = configuration

    # --- devices ---

    def _look_after_devices(self, terms: Terms, gateway: Gateway) -> None:
        """Bring each device's tree to what it shall be: small repairs at once, one that is to be made a part at a time."""
        if self._capabilities is None:
            self._capabilities = self._traffic.capabilities()
        observed = self._traffic.observe()
        self._ways = dict(self._plan_ways(terms.caps.pool, gateway, self._capabilities, observed))
        plan = diff(self._trees(), observed)
        self._traffic.apply(plan.removals)
        unmade = {step.device for step in plan.additions if not isinstance(step, ChangeClass)}
        self._traffic.apply(step for step in plan.additions if step.device not in unmade)
        self._building = deque(step for step in plan.additions if step.device in unmade)
        devices = {shaper.device for each in self._ways.values() for shaper in each.shapers}
        self._made = frozenset(devices - unmade)
        # a lease is kept while one of its devices is made anew: the others hold it
        self._terms = replace(terms, pools={direction: each.pool for direction, each in self._ways.items()})
        self._carry_out(self._book.reconsider(self._terms))

    def _plan_ways(
        self, pool: int, gateway: Gateway, capabilities: TrafficCapabilities, observed: Iterable[ObservedDevice]
    ) -> Iterator[tuple[Direction, Way]]:
        by_name = {device.name: device for device in observed}
        for direction, names in ((Direction.DOWN, gateway.access), (Direction.UP, gateway.upstream)):
            if not pool:
                yield direction, Way((), "the pool has no class")
            elif not capabilities.htb:
                yield direction, Way((), "this kernel has no HTB")
            else:
                yield direction, way(names, by_name, capabilities.leaves, pool, self._line)

    def _build(self) -> None:
        """Some of the steps that the trees still lack; after the last one they are looked at again."""
        if self._building:
            count = min(_STEPS_AT_A_TIME, len(self._building))
            self._traffic.apply([self._building.popleft() for _ in range(count)])
            if not self._building:
                self._look_at = 0.0

    def _trees(self) -> Iterator[Tree]:
        for direction, each in self._ways.items():
            leased = (grant for grant in self._book.grants.values() if grant.account.direction is direction)
            yield from each.trees(Lease(grant.method.classid, grant.rate) for grant in leased if isinstance(grant.method, Shaped))

    def _whole(self, terms: Terms) -> Terms:
        """The terms for new leases: from pools that are there on all their devices."""
        whole = {
            direction: each.pool if all(shaper.device in self._made for shaper in each.shapers) else ()
            for direction, each in self._ways.items()
        }
        return replace(terms, pools=whole)

    # --- leases ---

    def _look_after_use(self, now: float) -> None:
        """Take back what nobody uses, and tell what everybody does."""
        sent = {direction: self._sent_by(each) for direction, each in self._ways.items()}
        self._book.note_use(now, sent)
        self._carry_out(self._book.take_back(now))
        seconds = now - self._sent_at
        self.state = replace(self.state, capped=self._book.count, uses=tuple(self._uses(sent, seconds)))
        self._sent, self._sent_at = sent, now

    def _sent_by(self, of: Way) -> dict[ClassId, int]:
        """Bytes by class, over the devices of a direction."""
        found: Counter[ClassId] = Counter()
        for shaper in of.shapers:
            if shaper.device in self._made:
                found.update({use.classid: use.octets for use in self._traffic.statistics(shaper.device)})
        return found

    def _uses(self, sent: Mapping[Direction, Mapping[ClassId, int]], seconds: float) -> Iterator[Use]:
        assert self._terms is not None  # noqa: S101  the caller asked
        for grant in self._book.grants.values():
            account, key = grant.account, next(iter(grant.keys))
            subscriber = self._terms.subscriber(key.family, key.address)
            rate = None
            if isinstance(grant.method, Shaped) and seconds > 0:
                classid = grant.method.classid
                now, before = (each.get(account.direction, {}).get(classid, 0) for each in (sent, self._sent))
                rate = max(0, now - before) * 8 / seconds
            yield Use(
                subscriber.id or str(subscriber.key),
                subscriber.plan,
                account.flow_class,
                account.direction,
                isinstance(grant.method, Shaped),
                grant.rate.bits,
                rate,
            )

    def _carry_out(self, changes: Changes) -> None:
        """In this order a packet never meets a class that has not its rate yet."""
        if not changes:
            return
        self._change_classes(changes.rates)
        self._leases.apply(changes.steps)
        self._change_classes(changes.idle)
        self.state = replace(self.state, capped=self._book.count)

    def _change_classes(self, states: Iterable[ClassState]) -> None:
        """On the devices whose trees are whole; of the others, and of one that is gone meanwhile, the next look sees to it."""
        by_device: dict[str, list[ChangeClass]] = {}
        for each in states:
            for shaper in self._ways[each.direction].shapers:
                step = ChangeClass(shaper.device, each.classid, shaper.rate(each.state))
                by_device.setdefault(shaper.device, []).append(step)
        for device in by_device.keys() & self._made:
            try:
                self._traffic.apply(by_device[device])
            except KernelError as error:
                _log.warning("%s; the tree of %s is looked at anew", error, device)
                self._made -= {device}
                self._look_at = 0.0

    def _clear(self) -> None:
        """End every lease, those of the kernel that no book has too; classes go idle at the next look."""
        self._book = Book()
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
        expected = isinstance(error, EdgedError | OSError)
        _log.error(
            "heavy flows are not capped, next try in %.0f s: %s", RETRY_SECONDS, error, exc_info=None if expected else error
        )
        try:
            self._clear()
        except (EdgedError, OSError) as also:
            _log.error("leases in the kernel stay for now: %s", also)
        self._configuration = None  # at the next try from the beginning
        self._terms = None
        self.state = replace(self.state, trouble=str(error))


def caps_in_force(configuration: Configuration | None) -> Caps | None:
    """The caps that are enforced, if any are."""
    for placed in configuration.policies if configuration is not None else ():
        if isinstance(placed.settings, Caps) and placed.settings.mode is Mode.ENFORCE:
            return placed.settings
    return None
