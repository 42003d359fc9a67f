"""Flows of the corpus' captures, as far as the rules of caps hand them to an inspector, between ends of their own.

That is of TCP what comes from the answer to a SYN on while the connection is young, of UDP the first datagrams, and of neither
anything once the inspector has answered (policies/capping.py). The captures show protocols, each with a few flows, and are no
sample of what subscribers send; their flows are as long, and are decided as late, as real ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from bench._flows import Ends, Sent, sent
from edged.inspect.engine import Inspector
from edged.packet.decode import decode
from edged.packet.layers import TCP, Decoded
from edged.packet.segment import OVER_IPV6, segment_of
from edged.policies.capping import TCP_PACKETS, UDP_PACKETS
from edged.replay.readers import open_capture
from edged.sources.hosts import Hosts

MTU = 1500


class Flow(NamedTuple):
    """One that is handed out: `ports` are client's and server's; of each packet whether it goes up, and TCP's or UDP's bytes."""

    protocol: int
    ports: tuple[int, int]
    packets: tuple[tuple[bool, bytes], ...]
    decided: bool

    def between(self, number: int) -> list[Sent]:
        """Its packets between the ends of that number."""
        near, _, far, _ = Ends.of(number, 0)
        ends = Ends(near, self.ports[0], far, self.ports[1])
        return [sent(ends, self.protocol, transport, up=up) for up, transport in self.packets]


def captured(folder: Path, hosts: Hosts) -> list[Flow]:
    """The flows of all captures in the folder of which something is handed out, but those with packets that no link carries."""
    return [flow for path in sorted(folder.glob("*.pcap*")) for flow in _flows(path, hosts)]


def repeated(flows: Sequence[Flow], count: int) -> Iterator[list[Sent]]:
    """The flows in turn, each time between other ends."""
    yield from (flow.between(number) for number, flow in enumerate(islice(cycle(flows), count)))


def told(flows: Sequence[Flow]) -> str:
    """How many packets the flows hand out, and of how many flows the inspector knows by then what they are."""
    lengths = sorted(len(flow.packets) for flow in flows)
    of = Counter(min(length, 10) for length in lengths)
    shares = ", ".join(f"{number}{'+' if number == 10 else ''}: {of[number] / len(flows):.0%}" for number in sorted(of))
    decided = sum(flow.decided for flow in flows) / len(flows)
    return f"packets a flow {sum(lengths) / len(flows):.1f}, median {lengths[len(flows) // 2]} ({shares}); decided {decided:.0%}"


class _Tracked:
    """A connection, as conntrack would have it: who began it, how many packets it had, whether any was an answer."""

    def __init__(self, client: tuple[int, int], server_port: int, protocol: int) -> None:
        self.client = client
        self.ports = client[1], server_port
        self.protocol = protocol
        self.count = 0
        self.is_answered = self.decided = self.is_odd = False
        self.handed: list[tuple[bool, bytes]] = []


def _flows(path: Path, hosts: Hosts) -> Iterator[Flow]:
    inspector, table = Inspector(hosts), dict[tuple[object, ...], _Tracked]()
    with open_capture(path) as capture:
        for record in capture:
            packet = decode(record.data, record.link, record.original_length)
            if isinstance(packet, Decoded):
                _track(inspector, table, record.nanoseconds, packet, record.data)
    for each in table.values():
        if each.handed and not each.is_odd:
            yield Flow(each.protocol, each.ports, tuple(each.handed), each.decided)


def _track(inspector: Inspector, table: dict[tuple[object, ...], _Tracked], now: int, packet: Decoded, data: bytes) -> None:
    segment = segment_of(packet)
    if segment is None or packet.dropped_by_stack:
        return
    ends = (segment.source, segment.source_port), (segment.destination, segment.destination_port)
    tracked = table.setdefault(
        (segment.kind, *sorted(ends)), _Tracked(ends[0], segment.destination_port, segment.kind % OVER_IPV6)
    )
    up = ends[0] == tracked.client
    tracked.count += 1
    tracked.is_answered |= not up
    is_tcp = tracked.protocol == TCP
    if tracked.decided or tracked.count >= (TCP_PACKETS if is_tcp else UDP_PACKETS) or (is_tcp and not tracked.is_answered):
        return
    size = packet.length - (packet.transport - packet.network)
    transport = data[packet.transport : packet.transport + size]
    tracked.is_odd |= len(transport) < size or size + 20 > MTU
    tracked.handed.append((up, transport))
    decision = inspector.take(now, segment, data)
    tracked.decided = decision is not None and decision.final
