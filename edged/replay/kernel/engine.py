"""The kernel engine: what the real kernel does with the packets of a capture, and by which rule."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from edged.addresses import Family
from edged.errors import KernelError, Refused
from edged.policies import Site
from edged.replay.arrival import Arrival, Side
from edged.replay.kernel.gateway import MOST_FRAMES, Gateway
from edged.replay.kernel.network import remove_leftovers
from edged.replay.kernel.numbers import Numbers
from edged.replay.kernel.pace import Pace
from edged.replay.kernel.pieces import Pieces
from edged.replay.kernel.seen import Seen
from edged.replay.kernel.tracer import ARRIVED, WHOLE
from edged.replay.kernel.wire import LONGEST, Kind, frame, kind_of
from edged.replay.verdict import Judged
from edged.ruleset.tree import Table

_MOST_BYTES = 4 << 20  # of one batch: well below what the listening sockets hold


class KernelEngine:
    """Judges captures by the kernel of this machine, in a throw-away gateway; to be used as a context, for one thread.

    The gateway is programmed with the code of `edged apply`. Packets are sent as they were captured, but for the hop limit, of
    which forwarding needs some; what was not captured of them is zero. The capture's own times are not replayed: conntrack's
    timeouts, set elements' ends (by `clock`, in seconds since the epoch) and the waiting for pieces run by the wall clock,
    and no rate of the policy is exceeded by replaying faster. A verdict of reject is that of the rule: no answer can be built to
    a TCP reset, or where a checksum is wrong.

    Entering raises Refused without root, and EdgedError where the gateway cannot be made.
    """

    def __init__(self, table: Table, site: Site, *, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._site = site
        self._clock = clock
        self._gateway: Gateway | None = None
        self._pace = Pace(table)
        self._numbers = Numbers(site.marks)
        self._left_behind = False  # pieces that never became a packet may still wait in the kernel

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise Refused("the kernel engine makes network namespaces, which needs root: run it with sudo, or use --engine model")
        remove_leftovers()
        self._gateway = self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._gateway is not None:
            self._gateway.close()
            self._gateway = None

    def judge(self, arrivals: Iterable[Arrival]) -> Iterator[Judged]:
        """The verdict on each packet of one capture, in order.

        Raises KernelError where anything was lost on the way, or the kernel contradicts itself: no verdict is a guess.
        """
        if self._gateway is None:
            raise RuntimeError("the engine is a context that must be entered")
        if self._left_behind:
            self._gateway.close()
            self._gateway = self._open()
            self._pace = Pace(self._table)
        self._gateway.forget_connections()
        self._left_behind = True
        run = _Run(self._gateway, self._pace, self._numbers)
        for batch in _batches(arrivals, min(MOST_FRAMES, self._pace.most)):
            yield from run.judge(batch)
        self._left_behind = run.was_piece_lost or run.has_pieces
        yield from run.rest()

    def _open(self) -> Gateway:
        return Gateway(self._table, self._site, self._clock, self._numbers.piece)


class _Run:
    """One capture. Packets have numbers, which are their marks in the gateway."""

    def __init__(self, gateway: Gateway, pace: Pace, numbers: Numbers) -> None:
        self._numbers = numbers
        self.was_piece_lost = False
        self._gateway = gateway
        self._pace = pace
        self._pieces = Pieces()
        self._seen: dict[int, Seen] = {}  # what has no verdict yet
        self._queue: deque[Seen] = deque()

    @property
    def has_pieces(self) -> bool:
        """Whether pieces wait for others."""
        return bool(self._seen)

    def judge(self, batch: list[Arrival]) -> Iterator[Judged]:
        """The verdicts that are known, in order, once the batch has been through the gateway."""
        sent = self._send(batch)
        for mark, heard in self._gateway.heard():
            if seen := self._seen.get(mark):
                kind = kind_of(heard)
                seen.left |= kind is Kind.FORWARDED
                seen.refused |= kind is Kind.REFUSAL
        wholes = self._read_events()
        now = time.monotonic()
        for mark in sent:
            seen = self._seen[mark]
            self._pace.spend(seen.rules)
            if seen.packet.fragment is None:
                self._decide([mark], seen)
            else:
                self._decide_piece(mark, seen, wholes.get(mark), now)
        self._lose(self._pieces.expired(now))
        return self._ready()

    def rest(self) -> Iterator[Judged]:
        """The verdicts on all others: what has not become whole never will."""
        self._lose(list(self._seen))
        return self._ready()

    def _send(self, batch: list[Arrival]) -> list[int]:
        self._pace.wait(len(batch))
        frames: list[tuple[Side, bytes]] = []
        sent: list[int] = []
        for arrival in batch:
            packet = arrival.decoded
            seen = Seen(arrival)
            self._queue.append(seen)
            if packet.length > LONGEST:
                seen.decide(None)
                continue
            mark = self._numbers.next() | (self._numbers.piece if packet.fragment is not None else 0)
            sent.append(mark)
            self._seen[mark] = seen
            frames.append((arrival.side, frame(arrival, mark, self._gateway.address(arrival.side))))
        self._gateway.send(frames)
        return sent

    def _read_events(self) -> dict[int, int]:
        """Note what is told of each packet; give the marks of whole packets by the marks of the pieces that completed them."""
        wholes: dict[int, int] = {}
        arrived = 0
        rules, seen_by = self._gateway.rules, self._seen
        for mark, handle, header in self._gateway.events():
            seen = seen_by.get(mark)
            if handle == ARRIVED:
                arrived = mark
            if seen is None:
                continue
            if handle == ARRIVED:
                seen.arrived = True
            elif handle == WHOLE:
                wholes[arrived] = mark
                seen.length = _length(seen.packet.family, header)
            else:
                seen.rules.append(rules[handle])
        return wholes

    def _decide_piece(self, mark: int, seen: Seen, whole: int | None, now: float) -> None:
        if not seen.arrived:
            self._decide([mark], seen)
            return
        if whole == mark and seen.length == seen.packet.length:
            self._decide([mark], seen)  # let by as it is
            return
        self._lose(self._pieces.add(mark, seen.packet, now))
        if whole is None:
            return
        head = self._seen.get(whole)
        if head is None or mark not in self._seen:
            arrival = seen.arrival
            raise KernelError(f"packet {arrival.number} of {arrival.capture} completed one that was thought to be given up")
        self._decide(self._pieces.take(seen.packet), head)

    def _decide(self, marks: list[int], whole: Seen) -> None:
        for mark in marks:
            self._seen.pop(mark).decide(whole)

    def _lose(self, marks: list[int]) -> None:
        for mark in marks:
            self._seen.pop(mark).decide(None)
            self.was_piece_lost = True

    def _ready(self) -> Iterator[Judged]:
        queue = self._queue
        while queue and (verdict := queue[0].verdict) is not None:
            yield queue.popleft().judged(verdict)


def _batches(arrivals: Iterable[Arrival], most: int) -> Iterator[list[Arrival]]:
    batch: list[Arrival] = []
    size = 0
    for arrival in arrivals:
        batch.append(arrival)
        size += arrival.decoded.length
        if len(batch) >= most or size > _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _length(family: Family, header: bytes) -> int:
    """The packet's length by its IP header."""
    if family is Family.IPV4:
        return int.from_bytes(header[2:4], "big")
    return 40 + int.from_bytes(header[4:6], "big")
