"""A connection as conntrack keeps it: who talks to whom, its mark, and what it has moved; pure."""

from __future__ import annotations

from typing import NamedTuple

from edged.addresses import Family


class End(NamedTuple):
    """One end: an address as an integer, and a port; 0 where the protocol has none."""

    address: int
    port: int


class Volume(NamedTuple):
    """What went in one direction: packets, and octets with their IP headers; both 0 where conntrack does not count."""

    packets: int
    octets: int


class Tracked(NamedTuple):
    """A connection; `original` is the direction of its first packet, from the originator to the responder, `reply` the other.

    Ends are those that talk to each other: what NAT shows of them to others is not here. `protocol` is IP's number. `key` is what
    the kernel finds the connection by. `id` is the kernel's hash of its entry: another connection under the same key has mostly,
    not always, another (nf_ct_get_id).
    """

    family: Family
    protocol: int
    originator: End
    responder: End
    mark: int
    original: Volume
    reply: Volume
    id: int
    key: bytes
