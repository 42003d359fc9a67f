"""Which flows last: those that keep a rate for a time, found by what they have moved from one sample to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from edged.tracked import Tracked

MOST = 65_536
LEAST_SECONDS = 0.5  # TCP sends in bursts: over less than this its rate says nothing


class Wanted(NamedTuple):
    """What makes a flow bulk: a rate in bits a second, of its faster direction, kept for that many seconds."""

    sustained: int
    lasting: float


@dataclass(slots=True)
class _Measured:
    """A candidate at its last sample, and since when it has kept the rate."""

    at: float
    original: int
    reply: int
    since: float
    sustained: int


class Lasting:
    """Measures candidates, MOST of them; what comes beyond that waits until one of them is gone.

    A flow's rate is the mean over the real time between two samples, at least LEAST_SECONDS apart. One such time below the rate,
    counters that went back (they were zeroed, or the connection is another), or another rate that is wanted: it starts anew.
    """

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._measured: dict[tuple[int, bytes], _Measured] = {}

    def __len__(self) -> int:
        return len(self._measured)

    def sample(self, now: float, flows: Iterable[Tracked], wanted: Callable[[Tracked], Wanted | None]) -> tuple[Tracked, ...]:
        """The flows that have kept for long enough what is wanted of them; None: it is nothing to measure.

        `flows` are all that there are, in any order and maybe twice: others are forgotten. `now` is in seconds, of a clock that
        never goes back. What is found and yet among the next `flows`, because marking it failed, is found again while it keeps
        the rate.
        """
        found, seen = [], set()
        for flow in flows:
            want = wanted(flow)
            if want is None:
                continue
            # the kernel's id is a hash of 32 bits, which among many flows is not enough by itself
            name = flow.id, flow.key
            seen.add(name)
            measured = self._measured.get(name)
            if measured is None:
                if len(self._measured) < self._most:
                    self._measured[name] = _begun(now, flow, want)
            elif _lasts(measured, now, flow, want):
                found.append(flow)
        for gone in self._measured.keys() - seen:
            del self._measured[gone]
        return tuple(found)


def _begun(now: float, flow: Tracked, want: Wanted) -> _Measured:
    return _Measured(now, flow.original.octets, flow.reply.octets, now, want.sustained)


def _lasts(measured: _Measured, now: float, flow: Tracked, want: Wanted) -> bool:
    """Whether it has by now kept the rate for long enough; takes the sample into account."""
    seconds = now - measured.at
    if seconds < LEAST_SECONDS:
        return False
    original, reply = flow.original.octets - measured.original, flow.reply.octets - measured.reply
    forward = min(original, reply) >= 0
    kept = forward and want.sustained == measured.sustained and max(original, reply) * 8 >= want.sustained * seconds
    since = measured.since if kept else now
    measured.at, measured.original, measured.reply = now, flow.original.octets, flow.reply.octets
    measured.since, measured.sustained = since, want.sustained
    return kept and now - since >= want.lasting
