"""The flows that are remembered: the least recently used go first, where there are too many or too many bytes are held."""

from __future__ import annotations

from collections import OrderedDict

from edged.inspect.decision import Decision
from edged.inspect.names.quic import InitialHello
from edged.inspect.streams import Stream

MOST_FLOWS = 65_536
MOST_BYTES = 64 << 20  # of payload, in all
_GONE = -1 << 80  # a time before all others
_NO_STREAMS, _NO_DATAGRAMS = (None, None), (b"", b"")

# Both ends, the lower one first, and the IP protocol, to which IPv6 adds 256
Key = tuple[int, int, int, int, int]


class Flow:
    """What is remembered of a flow.

    - `client_is_low`: its client is the key's first end, who sent its first packet, unless that answered a SYN.
    - `seen`: when it was last put in front, in nanoseconds; who uses it does so once a second. Before all time once the flow is
      no longer remembered, whoever still holds it.
    - `number`: packets that brought payload so far; `budget`: how many may, before the flow is given up.
    - `is_decided`: nothing about `decision` will change.
    - `streams`: of TCP, the client's direction and the server's; `datagrams`: of UDP, the last of each.
    - `waits_since`: when the first piece of an incomplete ClientHello came; None where there is none.
    - `quic_side`: from which of the two the datagrams come that `quic` reads.
    - `learns`: its class is known, and what it says next may name peers.
    """

    __slots__ = (
        "budget",
        "client_is_low",
        "datagrams",
        "decision",
        "held",
        "is_decided",
        "learns",
        "number",
        "quic",
        "quic_side",
        "seen",
        "streams",
        "syn",
        "waits_since",
    )

    def __init__(self, budget: int, now: int, *, client_is_low: bool) -> None:
        self.client_is_low = client_is_low
        self.budget = budget
        self.number = 0
        self.seen = now
        self.syn: int | None = None
        self.decision: Decision | None = None
        self.is_decided = False
        self.streams: tuple[Stream | None, Stream | None] = _NO_STREAMS
        self.datagrams = _NO_DATAGRAMS
        self.quic: InitialHello | None = None
        self.quic_side = 0
        self.waits_since: int | None = None
        self.learns = False
        self.held = 0

    def holds(self) -> int:
        """Bytes of payload that are kept for it now."""
        if self.is_decided:
            return 0
        held = len(self.datagrams[0]) + len(self.datagrams[1])
        for stream in self.streams:
            if stream is not None:
                held += stream.held
        return held + self.quic.held if self.quic is not None else held

    def end(self, decision: Decision) -> None:
        """Keep the decision, which is final, and let go of all payload."""
        self.decision = decision
        self.is_decided = True
        self.streams = _NO_STREAMS
        self.datagrams = _NO_DATAGRAMS
        self.quic = None


class Flows:
    """Flows by their keys, in the order of use; `overflow` counts those that went while their class was open."""

    def __init__(self, most_flows: int = MOST_FLOWS, most_bytes: int = MOST_BYTES) -> None:
        self._most_flows = most_flows
        self._most_bytes = most_bytes
        self._flows: OrderedDict[Key, Flow] = OrderedDict()
        self.held = 0
        self.overflow = 0
        self.get = self._flows.get
        self.use = self._flows.move_to_end

    def __len__(self) -> int:
        return len(self._flows)

    def begin(self, key: Key, flow: Flow) -> Flow:
        """Remember a flow, in place of any other of the key, and give it back."""
        former = self._flows.pop(key, None)
        if former is not None:
            self.held -= former.held
            former.seen = _GONE
        elif len(self._flows) >= self._most_flows:
            self._drop_eldest()
        self._flows[key] = flow
        return flow

    def account(self, flow: Flow) -> None:
        """Take note of what a flow in use holds now."""
        held = flow.holds()
        self.held += held - flow.held
        flow.held = held
        while self.held > self._most_bytes and len(self._flows) > 1:
            self._drop_eldest()

    def _drop_eldest(self) -> None:
        _, flow = self._flows.popitem(last=False)
        self.held -= flow.held
        flow.seen = _GONE
        if not (flow.is_decided or flow.learns):
            self.overflow += 1
