"""From what was recognised of a flow to what it is: the host list, the classes, the budget of packets."""

from __future__ import annotations

from edged.inspect.decision import UNDECIDED, Counts, Decision
from edged.inspect.endpoints import Endpoints
from edged.inspect.flows import Flow
from edged.inspect.openings import Incomplete, Opening
from edged.inspect.sight import Found, TrafficClass
from edged.sources.hosts import Hosts

SECOND = 1_000_000_000
BUDGET = 8  # packets with payload, both directions together
LONG_BUDGET = 16  # where a ClientHello comes in pieces, or an HTTP response may tell more
HELLO_TIMEOUT = 2 * SECOND


class Judge:
    """Sets `Flow.decision`, and counts."""

    def __init__(self, hosts: Hosts, endpoints: Endpoints, counts: Counts) -> None:
        self._hosts = hosts
        self._endpoints = endpoints
        self._counts = counts

    def opened(self, flow: Flow, opening: Opening) -> None:
        """A protocol that the flow opens with, and the host it asks for."""
        host = opening.host
        former = flow.decision
        if host is not None and opening.protocol != "dns" and self._hosts.covers(host):
            self._class(flow, Decision(TrafficClass.STREAMING, opening.protocol, host, final=True))
        elif not opening.goes_on:
            self._end(flow, Decision(None, opening.protocol, host, final=True))
        elif former is None or former.host is None:
            flow.budget = LONG_BUDGET
            flow.decision = Decision(None, opening.protocol, host, final=False)

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
        if flow.learns:
            return
        flow.learns = found.names_more
        host = flow.decision.host if flow.decision is not None else None
        self._class(flow, Decision(found.traffic_class, found.protocol, host, final=not found.names_more))

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

    def _class(self, flow: Flow, decision: Decision) -> None:
        assert decision.traffic_class is not None  # noqa: S101  its callers' business
        self._counts.decided[decision.traffic_class] += 1
        if decision.final:
            flow.end(decision)
        else:
            flow.decision = decision

    def _end(self, flow: Flow, decision: Decision) -> None:
        self._counts.named += 1
        flow.end(decision)
