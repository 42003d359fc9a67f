"""From what was recognised of a flow to what it is: the host list, the classes, the budget of packets."""

from __future__ import annotations

from collections import deque

from edged.inspect.decision import UNDECIDED, Counts, Decision
from edged.inspect.endpoints import Endpoints
from edged.inspect.flows import Flow
from edged.inspect.openings import Incomplete, Opening
from edged.inspect.sight import Endpoint, Found, TrafficClass
from edged.sources.hosts import Hosts

SECOND = 1_000_000_000
BUDGET = 8  # packets with payload, both directions together
LONG_BUDGET = 16  # where a ClientHello comes in pieces, or an HTTP response may tell more
HELLO_TIMEOUT = 2 * SECOND
MOST_LEARNT = 1_024  # endpoints that wait to be asked for

_new = tuple.__new__  # the constructor of a NamedTuple is written in Python and takes twice as long


class Judge:
    """Sets `Flow.decision`, and counts."""

    def __init__(self, hosts: Hosts, endpoints: Endpoints, counts: Counts) -> None:
        self._hosts = hosts
        self._endpoints = endpoints
        self._counts = counts
        self._learnt: deque[Endpoint] = deque(maxlen=MOST_LEARNT)

    def opened(self, flow: Flow, opening: Opening) -> None:
        """A protocol that the flow opens with, and the host it asks for."""
        protocol, host, goes_on = opening
        # a question of DNS is for a service's address, and none of its traffic
        if host is not None and protocol != "dns" and self._hosts.covers(host):
            self._classify(flow, TrafficClass.STREAMING, protocol, host)
        elif not goes_on:
            self._end(flow, _new(Decision, (None, protocol, host, True)))
        elif (former := flow.decision) is None or former.host is None:
            flow.budget = LONG_BUDGET
            flow.decision = _new(Decision, (None, protocol, host, False))

    def incomplete(self, now: int, flow: Flow, message: Incomplete) -> None:
        """A message that is not whole yet: it may take longer, but a ClientHello not more than HELLO_TIMEOUT."""
        flow.budget = LONG_BUDGET
        if not message.is_hello:
            return
        if flow.waits_since is None:
            flow.waits_since = now
        elif now - flow.waits_since > HELLO_TIMEOUT:
            self.over_cap(flow)

    def found(self, now: int, flow: Flow, found: Found) -> None:
        """What a detector recognised."""
        if found.peers:
            self._endpoints.learn(now, found.peers)
            self._learnt.extend(found.peers)
        if flow.learns:
            return
        flow.learns = found.names_more
        self._classify(flow, found.traffic_class, found.protocol, flow.decision.host if flow.decision is not None else None)

    def take_learnt(self) -> tuple[Endpoint, ...]:
        """The endpoints that were learnt since this was asked last."""
        learnt = tuple(self._learnt)
        self._learnt.clear()
        return learnt

    def spent(self, flow: Flow) -> None:
        """The flow's budget is spent."""
        decision = flow.decision
        if decision is None:
            self._counts.undecided += 1
            flow.end(UNDECIDED)
        elif decision.traffic_class is None:
            self._end(flow, decision._replace(final=True))
        else:
            flow.end(decision._replace(final=True))

    def over_cap(self, flow: Flow) -> None:
        """The flow asks for more bytes or time than any may have."""
        self._counts.over_cap += 1
        flow.end(UNDECIDED)

    def _classify(self, flow: Flow, traffic_class: TrafficClass, protocol: str, host: str | None) -> None:
        self._counts.decided[traffic_class] += 1
        if flow.learns:
            flow.decision = Decision(traffic_class, protocol, host, final=False)
        else:
            flow.end(Decision(traffic_class, protocol, host, final=True))

    def _end(self, flow: Flow, decision: Decision) -> None:
        self._counts.named += 1
        flow.end(decision)
