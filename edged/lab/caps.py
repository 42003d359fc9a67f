"""What the lab shows of caps: a capped BitTorrent transfer beside an uncapped download of the same subscriber.

Both come from one server at the same time. What they came to is told by the subscriber's end, its TCP and its curl, and held
against the cap in the policy and against the bytes that edged counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edged.addresses import Family
from edged.config.caps import Cap
from edged.configuration import Configuration
from edged.daemon.capper import caps_in_force
from edged.errors import EdgedError
from edged.lab.clients import throughput
from edged.lab.packets import Witness
from edged.lab.servers import last_words
from edged.lab.topology import Host, Topology
from edged.lab.torrent import CONTENT_BYTES, Leecher, Torrent
from edged.marks import FlowClass
from edged.ruleset.nodes import Direction

# A shaper counts whole frames, and TCP delivers what is in them: 1428 bytes of 1514 in IPv6.
_LEAST, _MOST = 0.85, 1.05
_TIMES_AS_FAST = 10
_BEGINNING = 20.0
_SETTLING = 3.0  # until the lease is given, what was sent before it has come, and TCP is over the losses of that moment
_WINDOW = 4.0
_QUIET = 0.5  # the shaper lets a subscriber's packets by at most some tenths of a second apart


class CappedBytes(NamedTuple):
    """What a count of capped bytes is of."""

    flow_class: str
    direction: Direction

    def __str__(self) -> str:
        return f"caps {self.flow_class} {self.direction.value}"


HELD = CappedBytes(FlowClass.P2P.label, Direction.DOWN)


@dataclass(frozen=True, slots=True)
class Transfers:
    """The two transfers over the same seconds: their rates in bits a second, and the bytes that the torrent moved."""

    torrent: float
    download: float
    moved: int


class NotMeasured(EdgedError):
    """The transfers did not come so far that their rates could be told."""


@dataclass(frozen=True, slots=True)
class Held:
    """Two transfers that were made, the cap on the torrent, and the bytes by which each count of capped bytes rose meanwhile."""

    allowed: int  # bits a second
    transfers: Transfers
    counted: Mapping[CappedBytes, int]

    def __str__(self) -> str:
        torrent, download = self.transfers.torrent / 1e6, self.transfers.download / 1e6
        rates = f"torrent {torrent:.1f} Mbit/s of {self.allowed / 1e6:g} allowed; download beside it {download:.0f} Mbit/s"
        return f"{rates}; {HELD} +{self.counted.get(HELD, 0)} bytes"


@dataclass(frozen=True, slots=True)
class CapResult:
    """What became of the transfers in one family: what was seen, or why there is nothing to see."""

    family: Family
    seen: Held | NotMeasured

    @property
    def wrong(self) -> str | None:
        """What differs from what was expected; None where nothing does."""
        return str(self.seen) if isinstance(self.seen, NotMeasured) else judge_caps(self.seen)


def cap_in_force(configuration: Configuration, host: Host, family: Family) -> Cap:
    """How the subscriber's peer-to-peer flows are held; raises NotMeasured where they are not."""
    caps = caps_in_force(configuration)
    plan = configuration.subscribers.of(family, int(host.address(family))).plan
    cap = caps.cap(FlowClass.P2P, plan) if caps is not None else None
    if cap is None:
        raise NotMeasured("no policy caps the class p2p of this subscriber")
    return cap


def measure(at: Topology, torrent: Torrent, family: Family, after: int) -> Transfers:
    """Both transfers over some seconds, from when on the torrent has moved more than `after` bytes; raises NotMeasured."""
    _await_quiet(at.dynamic)
    with torrent.leech(at.dynamic, family) as leecher:
        _await(leecher, after)
        time.sleep(_SETTLING)
        before, began = leecher.received(), time.monotonic()
        download = throughput(at.dynamic, at.web.address(family), _WINDOW)
        moved, seconds = leecher.received() - before, time.monotonic() - began
        _runs(leecher)
    return Transfers(moved * 8 / seconds, download, moved)


def _await_quiet(host: Host) -> None:
    """Returns when nothing comes any more of what the transfers before left in the cap's queue, or after _BEGINNING."""
    until = time.monotonic() + _BEGINNING
    for family in Family:
        while time.monotonic() < until:
            with Witness(host, family) as witness:
                if not witness.waits_for(lambda _any: True, _QUIET):
                    break


def _await(leecher: Leecher, volume: int) -> None:
    """Returns when the torrent has moved so much."""
    while (received := leecher.received()) <= volume:
        _runs(leecher)
        if time.monotonic() - leecher.began > _BEGINNING:
            said = last_words(leecher.log)
            raise NotMeasured(f"the torrent moved {received} bytes in {_BEGINNING:.0f} s; aria2 said: {said}")
        time.sleep(0.1)


def _runs(leecher: Leecher) -> None:
    """Raises NotMeasured where the peer has ended, as it does when it has the whole file."""
    ended = leecher.process.poll()
    if ended == 0:
        seconds = time.monotonic() - leecher.began
        raise NotMeasured(f"nothing held the torrent: its {CONTENT_BYTES >> 20} MiB were there within {seconds:.0f} s")
    if ended is not None:
        raise NotMeasured(f"aria2 ended with status {ended}; it said: {last_words(leecher.log)}")


def is_slow(held: Held) -> bool:
    """Whether the torrent was slower than its cap has it."""
    return held.transfers.torrent < _LEAST * held.allowed


def judge_caps(held: Held) -> str | None:
    """What differs from a torrent that is held and counted, and a download beside it that is neither; None where nothing does."""
    wrong, transfers = [], held.transfers
    if not _LEAST * held.allowed <= transfers.torrent <= _MOST * held.allowed:
        wrong.append(f"a torrent between {_LEAST:.0%} and {_MOST:.0%} of its cap")
    if transfers.download < _TIMES_AS_FAST * transfers.torrent:
        wrong.append(f"a download {_TIMES_AS_FAST} times as fast")
    if held.counted.get(HELD, 0) < transfers.moved:
        wrong.append(f"{HELD} counts the {transfers.moved} bytes that the torrent moved")
    if others := [f"{what} +{rise}" for what, rise in held.counted.items() if what.flow_class != HELD.flow_class]:
        wrong.append(f"no other class held, and not {', '.join(others)}")
    return f"expected: {'; '.join(wrong)}; seen: {held}" if wrong else None
