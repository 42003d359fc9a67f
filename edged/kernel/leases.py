"""The seam to the leases in the kernel: `Leases` is what the rest of edged sees of them, `LinuxLeases` is nftables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from edged.errors import KernelError
from edged.kernel.batch import Batch
from edged.kernel.leasemessages import (
    decode_bucket,
    decode_keys,
    decode_leases,
    decode_policed,
    encode,
    request_buckets,
    request_elements,
    request_set,
)
from edged.kernel.nftsocket import DumpTornError, NftSocket
from edged.kernel.uapi import ElemAttr, Msg
from edged.queueing.leases import Bucket, CapSets, LeasedKey, LeaseStep, PolicedKey

_ATTEMPTS = 20

Read = TypeVar("Read")


class Leases(Protocol):
    """All that edged asks of the kernel about who is capped."""

    def heavy(self, sets: CapSets) -> frozenset[int]:
        """The keys whose heavy flows have no lease yet; none where there is no such set. Raises KernelError."""
        ...

    def leased(self, sets: CapSets) -> tuple[LeasedKey, ...]:
        """The keys with their classes, in order; none where there is no such map. Raises KernelError."""
        ...

    def policed(self, sets: CapSets) -> tuple[PolicedKey, ...]:
        """The keys with their buckets, in order; none where there is no such map. Raises KernelError."""
        ...

    def buckets(self) -> tuple[Bucket, ...]:
        """The table's buckets, by name. Raises KernelError."""
        ...

    def apply(self, steps: Iterable[LeaseStep]) -> None:
        """Carry the steps out in one atomic batch, whatever their order.

        Raises KernelError where one is refused (ENOENT: a key or bucket that is not there; EEXIST: one that is already; EBUSY: a
        bucket that keys refer to), TableHeld where another process owns the table; nothing was applied then.
        """
        ...


class LinuxLeases:
    """The leases in one table, over the socket that may write to it."""

    def __init__(self, nft: NftSocket, table: str = "edged") -> None:
        """Of that table of the inet family."""
        self._nft = nft
        self._table = table

    def heavy(self, sets: CapSets) -> frozenset[int]:
        """The keys whose heavy flows have no lease yet; none where there is no such set. Raises KernelError."""
        return decode_keys(self._elements(sets.heavy))

    def leased(self, sets: CapSets) -> tuple[LeasedKey, ...]:
        """The keys with their classes, in order; none where there is no such map. Raises KernelError."""
        return decode_leases(self._elements(sets.lease))

    def policed(self, sets: CapSets) -> tuple[PolicedKey, ...]:
        """The keys with their buckets, in order; none where there is no such map. Raises KernelError."""
        return decode_policed(self._elements(sets.police))

    def buckets(self) -> tuple[Bucket, ...]:
        """The table's buckets, by name. Raises KernelError."""
        replies = _untorn(lambda: self._nft.dump(Msg.GETOBJ, request_buckets(self._table)))
        found = (decode_bucket(self._table, reply.attributes) for reply in replies)
        return tuple(sorted((bucket for bucket in found if bucket is not None), key=lambda bucket: bucket.name))

    def apply(self, steps: Iterable[LeaseStep]) -> None:
        """Carry the steps out in one atomic batch. Raises KernelError, TableHeld; nothing was applied then."""
        if messages := tuple(encode(self._table, steps)):
            self._nft.commit(Batch(messages))

    def _elements(self, name: str) -> list[bytes]:
        return _untorn(lambda: self._read_elements(name))

    def _read_elements(self, name: str) -> list[bytes]:
        try:
            replies = self._nft.dump(Msg.GETSETELEM, request_elements(self._table, name))
        except DumpTornError:
            if self._nft.get(Msg.GETSET, request_set(self._table, name)) is None:
                return []
            raise
        return [reply.attributes.get(ElemAttr.LIST_ELEMENTS, b"") for reply in replies]


def _untorn(read: Callable[[], list[Read]]) -> list[Read]:
    """What was read while nobody committed; an element that others' commits hide from one dump is in the next."""
    for attempt in range(_ATTEMPTS):
        try:
            return read()
        except DumpTornError:
            time.sleep(attempt / 1000)  # whoever is at work comes to an end
    raise KernelError(f"the leases cannot be read: another program worked on the ruleset each of {_ATTEMPTS} times")
