"""Leases in memory: executes the steps with nftables' refusals; what unit tests use in place of mocks."""

from __future__ import annotations

import copy
import errno
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

from edged.kernel.refusals import commit_refused
from edged.queueing.leases import (
    AddBucket,
    AddLease,
    AddPolice,
    Bucket,
    CapSets,
    LeasedKey,
    LeaseStep,
    PolicedKey,
    RemoveBucket,
    RemoveLease,
    RemovePolice,
    in_order,
)
from edged.queueing.tree import ClassId

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Held:
    """What the table holds; a map that is in none of these is not in the table."""

    heavy: dict[str, set[int]]
    lease: dict[str, dict[int, ClassId]]
    police: dict[str, dict[int, str]]
    buckets: dict[str, Bucket] = field(default_factory=dict)


class FakeLeases:
    """A table with these sets, empty."""

    def __init__(self, tables: Iterable[CapSets]) -> None:
        made = tuple(tables)
        self._held = _Held({s.heavy: set() for s in made}, {s.lease: {} for s in made}, {s.police: {} for s in made})

    def mark_heavy(self, sets: CapSets, key: int) -> None:
        """The packet path sees heavy flows of a key that has no lease."""
        self._held.heavy[sets.heavy].add(key)

    def forget_heavy(self) -> None:
        """The elements of every heavy set time out."""
        for keys in self._held.heavy.values():
            keys.clear()

    def heavy(self, sets: CapSets) -> frozenset[int]:
        """The keys whose heavy flows have no lease yet."""
        return frozenset(self._held.heavy.get(sets.heavy, ()))

    def leased(self, sets: CapSets) -> tuple[LeasedKey, ...]:
        """The keys with their classes, in order."""
        return tuple(LeasedKey(*item) for item in sorted(self._held.lease.get(sets.lease, {}).items()))

    def policed(self, sets: CapSets) -> tuple[PolicedKey, ...]:
        """The keys with their buckets, in order."""
        return tuple(PolicedKey(*item) for item in sorted(self._held.police.get(sets.police, {}).items()))

    def buckets(self) -> tuple[Bucket, ...]:
        """The table's buckets, by name."""
        return tuple(bucket for _, bucket in sorted(self._held.buckets.items()))

    def apply(self, steps: Iterable[LeaseStep]) -> None:
        """Carry the steps out, all or none. Raises KernelError."""
        held = copy.deepcopy(self._held)
        for step in in_order(tuple(steps)):
            if refused := _carry_out(held, step):
                raise commit_refused(refused, type(step).__name__)
        self._held = held


def _carry_out(held: _Held, step: LeaseStep) -> int:
    """The errno where the step is refused, else 0."""
    match step:
        case AddBucket(bucket):
            return _add(held.buckets, bucket.name, bucket)
        case RemoveBucket(name):
            if any(name in referred.values() for referred in held.police.values()):
                return errno.EBUSY
            return _remove(held.buckets, name)
        case AddLease(sets, key, classid):
            return _add(held.lease.get(sets.lease), key, classid)
        case RemoveLease(sets, key):
            return _remove(held.lease.get(sets.lease), key)
        case AddPolice(sets, key, bucket_name):
            return errno.ENOENT if bucket_name not in held.buckets else _add(held.police.get(sets.police), key, bucket_name)
        case RemovePolice(sets, key):
            return _remove(held.police.get(sets.police), key)
        case _:
            assert_never(step)


def _add(held: dict[Key, Value] | None, key: Key, value: Value) -> int:
    if held is None:
        return errno.ENOENT
    if key in held:
        return errno.EEXIST
    held[key] = value
    return 0


def _remove(held: dict[Key, Value] | None, key: Key) -> int:
    return errno.ENOENT if held is None or held.pop(key, None) is None else 0
