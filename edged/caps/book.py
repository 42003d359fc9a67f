"""The book of leases: who is capped now, how, and what the kernel must be told for it.

A lease is given where a subscriber's heavy flows are seen without one, and is returned when they have been still for a while.
In the kernel it is a class of the pool, with the rate of the cap, or where no class is free a bucket that polices. The book says
what shall be and hands out the steps; who carries them out and fails clears the kernel and begins another: caps fail open.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

from edged.addresses import Family, Prefix
from edged.caps.terms import Account, Terms
from edged.marks import FlowClass
from edged.queueing.leases import (
    AddBucket,
    AddLease,
    AddPolice,
    Bucket,
    CapSets,
    LeaseStep,
    RemoveBucket,
    RemoveLease,
    RemovePolice,
)
from edged.queueing.tree import IDLE, ClassId, Rate, State
from edged.ruleset.nodes import Direction
from edged.subscribers import Subscriber

IDLE_AFTER = 15.0  # seconds; a lease that is returned too early costs its subscriber's next heavy flow some tenths of a second


class Shaped(NamedTuple):
    """By a class of the pool."""

    classid: ClassId


class Policed(NamedTuple):
    """By a bucket, for want of a class."""

    bucket: str


Method = Shaped | Policed


class ClassState(NamedTuple):
    """What a class is to be, on every device of its direction."""

    direction: Direction
    classid: ClassId
    state: State


class Changes(NamedTuple):
    """What to tell the kernel, in this order: classes get their rates, packets their classes, and unused classes go idle."""

    rates: tuple[ClassState, ...] = ()
    steps: tuple[LeaseStep, ...] = ()
    idle: tuple[ClassState, ...] = ()

    def __bool__(self) -> bool:
        return any(self)


class Key(NamedTuple):
    """What the packet path looks a packet up by: an IPv4 address, or the first of an IPv6 /64."""

    family: Family
    address: int


@dataclass(slots=True)
class Grant:
    """A lease as it stands, and whose it is; `used` is when its flows were last seen to send."""

    account: Account
    holder: Subscriber
    rate: Rate
    method: Method
    used: float
    keys: set[Key] = field(default_factory=set)


class Book:
    """The leases given out; for one thread."""

    def __init__(self) -> None:
        self.grants: dict[Account, Grant] = {}
        self._by_key: dict[CapSets, dict[int, Grant]] = {}  # whose a key is, without a search over all subscribers
        self._holders: Counter[tuple[Prefix, FlowClass, type[Method]]] = Counter()  # in one direction or both
        self._capped: Counter[tuple[FlowClass, type[Method]]] = Counter()
        self._taken: dict[Direction, set[ClassId]] = {direction: set() for direction in Direction}
        self._buckets = 0  # how many there have been: each has a name of its own

    def give(self, now: float, terms: Terms, heavy: Mapping[CapSets, frozenset[int]]) -> Changes:
        """Leases for those whose heavy flows are seen without one; what is only policed is seen again, and that is its use."""
        rates: list[ClassState] = []
        steps: list[LeaseStep] = []
        free: dict[Direction, deque[ClassId]] = {}
        for sets, flow_class in terms.sets:
            held = self._by_key.setdefault(sets, {})
            for address in sorted(heavy.get(sets, ())):
                if (grant := held.get(address)) is not None:
                    grant.used = now
                    continue
                subscriber = terms.subscriber(sets.family, address)
                account = Account(subscriber.key, flow_class, sets.direction)
                grant = self.grants.get(account)
                if grant is None:
                    rate = terms.rate(subscriber, flow_class, sets.direction)
                    if rate is None:
                        continue
                    if sets.direction not in free:
                        free[sets.direction] = self._free(terms, sets.direction)
                    grant = self.grants[account] = Grant(
                        account, subscriber, rate, self._method(account, free[sets.direction]), now
                    )
                    _open(grant, rates, steps)
                    self._count_in(grant)
                grant.used = now
                key = Key(sets.family, address)
                grant.keys.add(key)
                held[address] = grant
                steps.append(_add(grant, key))
        return Changes(tuple(rates), tuple(steps))

    def take_back(self, now: float) -> Changes:
        """The leases that nobody has used for IDLE_AFTER."""
        return self._close([grant for grant in self.grants.values() if now - grant.used > IDLE_AFTER])

    def give_up_buckets(self, directions: Collection[Direction]) -> Changes:
        """End what is policed there: there are classes now, and whoever still moves much is seen again and gets one."""
        policed = (grant for grant in self.grants.values() if isinstance(grant.method, Policed))
        return self._close([grant for grant in policed if grant.account.direction in directions])

    def renew(self) -> Changes:
        """Every lease once more, for those in the kernel run out. Removed and added in one batch, it is there all the time."""
        grants = self.grants.values()
        removed = (step for grant in grants for step in _withdraw(grant) if not isinstance(step, RemoveBucket))
        return Changes((), (*removed, *(_add(grant, key) for grant in grants for key in sorted(grant.keys, key=_order))))

    def reconsider(self, terms: Terms) -> Changes:
        """Bring the leases to other terms: rates change in place; what is no longer capped, or not so, is returned."""
        over: list[Grant] = []
        rates: list[ClassState] = []
        steps: list[LeaseStep] = []
        pools = {direction: frozenset(pool) for direction, pool in terms.pools.items()}
        for grant in self.grants.values():
            rate = self._rate(grant, terms, pools)
            if rate is None:
                over.append(grant)
            elif rate != grant.rate:
                grant.rate = rate
                if isinstance(grant.method, Policed):  # the kernel changes no bucket in place: another one, in the same batch
                    steps += _withdraw(grant)
                    grant.method = self._bucket(grant.account)
                    _open(grant, rates, steps)
                    steps += [_add(grant, key) for key in sorted(grant.keys, key=_order)]
                else:
                    _open(grant, rates, steps)
        closed = self._close(over)
        return Changes(tuple(rates), (*steps, *closed.steps), closed.idle)

    @property
    def count(self) -> Counter[tuple[FlowClass, type[Method]]]:
        """How many subscribers are capped, by class and method; one that is capped in both directions counts once."""
        return +self._capped

    def leased(self, direction: Direction) -> int:
        """How many classes of the pool are leased."""
        return len(self._taken[direction])

    def _count_in(self, grant: Grant) -> None:
        holder = grant.account.subscriber, grant.account.flow_class, type(grant.method)
        self._holders[holder] += 1
        self._capped[holder[1:]] += self._holders[holder] == 1

    def _count_out(self, grant: Grant) -> None:
        holder = grant.account.subscriber, grant.account.flow_class, type(grant.method)
        self._holders[holder] -= 1
        if not self._holders[holder]:
            del self._holders[holder]
            self._capped[holder[1:]] -= 1

    def _rate(self, grant: Grant, terms: Terms, pools: Mapping[Direction, frozenset[ClassId]]) -> Rate | None:
        """What the grant is to be held to; None where it must be given anew, or not at all."""
        account = grant.account
        if isinstance(grant.method, Shaped) and grant.method.classid not in pools.get(account.direction, ()):
            return None
        holders = {terms.subscriber(key.family, key.address) for key in grant.keys}
        if {holder.key for holder in holders} != {account.subscriber}:
            return None  # an address has gone to somebody else
        grant.holder = holders.pop()
        return terms.rate(grant.holder, account.flow_class, account.direction)

    def _free(self, terms: Terms, direction: Direction) -> deque[ClassId]:
        taken = self._taken[direction]
        return deque(classid for classid in terms.pools.get(direction, ()) if classid not in taken)

    def _method(self, account: Account, free: deque[ClassId]) -> Method:
        if not free:
            return self._bucket(account)
        classid = free.popleft()
        self._taken[account.direction].add(classid)
        return Shaped(classid)

    def _bucket(self, account: Account) -> Policed:
        self._buckets += 1
        return Policed(f"cap_{account.direction.value}_{account.flow_class.label}_{self._buckets}")

    def _close(self, grants: Iterable[Grant]) -> Changes:
        steps: list[LeaseStep] = []
        idle: list[ClassState] = []
        for grant in grants:
            del self.grants[grant.account]
            self._count_out(grant)
            for key in grant.keys:
                del self._by_key[_sets(grant, key)][key.address]
            steps += _withdraw(grant)
            if isinstance(grant.method, Shaped):
                self._taken[grant.account.direction].discard(grant.method.classid)
                idle.append(ClassState(grant.account.direction, grant.method.classid, IDLE))
        return Changes((), tuple(steps), tuple(idle))


def _open(grant: Grant, rates: list[ClassState], steps: list[LeaseStep]) -> None:
    match grant.method:
        case Shaped(classid):
            rates.append(ClassState(grant.account.direction, classid, grant.rate))
        case Policed(name):
            steps.append(AddBucket(Bucket(name, grant.rate)))
        case _:
            assert_never(grant.method)


def _withdraw(grant: Grant) -> Iterator[LeaseStep]:
    keys = sorted(grant.keys, key=_order)
    match grant.method:
        case Shaped():
            yield from (RemoveLease(_sets(grant, key), key.address) for key in keys)
        case Policed(name):
            yield from (RemovePolice(_sets(grant, key), key.address) for key in keys)
            yield RemoveBucket(name)
        case _:
            assert_never(grant.method)


def _add(grant: Grant, key: Key) -> LeaseStep:
    match grant.method:
        case Shaped(classid):
            return AddLease(_sets(grant, key), key.address, classid)
        case Policed(name):
            return AddPolice(_sets(grant, key), key.address, name)
        case _:
            assert_never(grant.method)


def _sets(grant: Grant, key: Key) -> CapSets:
    return CapSets(grant.account.direction, grant.account.flow_class.label, key.family)


def _order(key: Key) -> tuple[str, int]:
    return key.family.value, key.address
