"""How fast flows are recognised: packets a second with and without decoding, and QUIC flows that tell their host names.

    python -m bench.inspection [ROUNDS]

The stream is the corpus, capture after capture, a packet a millisecond, or, where there is none (EDGED_CORPUS names its folder),
the first packets of 10,000 flows (_flows.py). A new inspector sees it once in each round. The QUIC flows are made here, each with
keys and a name of its own; `in two` are those whose hello, with a post-quantum key, takes two datagrams. The peer is ndpiReader
on the same packets in the same rounds, by its CPU time less that of an empty capture. All figures are of one core.
"""

from __future__ import annotations

import random
import shutil
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench._flows import mixed, quic, quic_in_two
from bench._table import Table
from bench.replay import CORPUS, HEADER, corpus_packets, seconds_of
from edged.cli.files import load_configuration
from edged.inspect.engine import Inspector
from edged.packet.decode import RAW, decode
from edged.packet.layers import TCP, UDP, Decoded
from edged.packet.tunnels import TUNNEL_PORTS, innermost
from edged.sources.hosts import Hosts

EXAMPLE = Path(__file__).parents[1] / "rules/edged.yaml"
PACKETS, NAMES = 200_000, 12_000  # a second: the promises
FLOWS = 2_000
PEER = "ndpiReader"
MILLISECOND = 1_000_000


def inner(data: bytes) -> Decoded | None:
    """The packet as replay has it inspected: of a tunnel the one inside."""
    packet = decode(data, RAW)
    if not isinstance(packet, Decoded):
        return None
    if packet.protocol == TCP or (packet.protocol == UDP and not TUNNEL_PORTS & {packet.source_port, packet.destination_port}):
        return packet
    return innermost(packet, data).packet


def decoded_before(hosts: Hosts, packets: Sequence[bytes]) -> float:
    """CPU seconds of inspection alone."""
    pairs = [(packet, data) for data in packets if (packet := inner(data)) is not None]
    feed = Inspector(hosts).feed
    began = time.process_time()
    for number, (packet, data) in enumerate(pairs):
        feed(number * MILLISECOND, packet, data)
    return time.process_time() - began


def with_decoding(hosts: Hosts, packets: Sequence[bytes]) -> float:
    """CPU seconds of both."""
    feed = Inspector(hosts).feed
    began = time.process_time()
    for number, data in enumerate(packets):
        packet = inner(data)
        if packet is not None:
            feed(number * MILLISECOND, packet, data)
    return time.process_time() - began


def names(flows: Iterable[Sequence[bytes]]) -> float:
    """CPU seconds that it takes for each of the flows to tell its name. Raises RuntimeError where one does not."""
    decoded = [[(inner(data), data) for data in flow] for flow in flows]
    inspector = Inspector(Hosts())
    began = time.process_time()
    for number, flow in enumerate(decoded):
        decision = None
        for packet, data in flow:
            assert packet is not None
            decision = inspector.feed(number * MILLISECOND, packet, data)
        if decision is None or decision.host is None:
            raise RuntimeError("a QUIC flow told no name")
    return time.process_time() - began


class Peer:
    """ndpiReader on captures that hold what the inspector is fed; None where it is not installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._empty = self.write("empty", ())

    def write(self, name: str, packets: Iterable[bytes]) -> Path:
        """A capture of raw IP, a packet a millisecond."""
        path = self._folder / f"{name}.pcap"
        with path.open("wb") as out:
            out.write(HEADER)
            for number, packet in enumerate(packets):
                out.write(struct.pack("<IIII", number // 1000, number % 1000 * 1000, len(packet), len(packet)) + packet)
        return path

    def seconds(self, path: Path) -> float:
        """CPU seconds, start aside."""
        took, nothing = (seconds_of(PEER, "-q", "-i", str(each))[0] for each in (path, self._empty))
        return max(took - nothing, 1e-3)


def main() -> int:
    """Measure; 1 where a promise is not kept."""
    rounds = max(3, int(sys.argv[1])) if len(sys.argv) > 1 else 9
    hosts = load_configuration(EXAMPLE).streaming_hosts
    packets = list(corpus_packets()) if CORPUS.is_dir() else []
    if not packets:
        print(f"no corpus in {CORPUS}: flows are made instead")
        packets = [sent.packet for flow in mixed(10_000) for sent in flow]
    drawn = random.Random(1)
    one, two = ([[sent.packet for sent in make(number, drawn)] for number in range(FLOWS)] for make in (quic, quic_in_two))
    has_peer = shutil.which(PEER) is not None
    if not has_peer:
        print(f"{PEER} is not installed: not compared (Debian: apt-get install libndpi-bin)")
    found: dict[str, list[float]] = {
        each: [] for each in ("decoded before", "with decoding", "one", "two", "peer", "peer's names")
    }
    with tempfile.TemporaryDirectory(prefix="edged-bench-") as folder:
        peer = Peer(Path(folder))
        stream, flows = peer.write("stream", packets), peer.write("quic", (data for flow in one for data in flow))
        for _ in range(rounds):
            found["decoded before"].append(len(packets) / decoded_before(hosts, packets))
            found["with decoding"].append(len(packets) / with_decoding(hosts, packets))
            found["one"].append(FLOWS / names(one))
            found["two"].append(FLOWS / names(two))
            if has_peer:
                found["peer"].append(len(packets) / peer.seconds(stream))
                found["peer's names"].append(FLOWS / peer.seconds(flows))
    print(f"{len(packets)} packets, {FLOWS} QUIC flows; {rounds} rounds")
    return 0 if show(found) else 1


def show(found: dict[str, list[float]]) -> bool:
    """Print it; whether the promises are kept."""
    table = Table()
    thousands = {name: [rate / 1000 for rate in rates] for name, rates in found.items()}
    peer = PEER if found["peer"] else ""
    table.head("inspected", "thousand packets/s", peer)
    _rows(table, thousands, {"edged, decoded before": "decoded before", "edged, with decoding": "with decoding"}, "peer")
    _promise(table, "decoded before", found["decoded before"], PACKETS, "packets/s")
    _promise(table, "with decoding", found["with decoding"], PACKETS, "packets/s")
    table.head("names of QUIC flows", "thousand flows/s", peer)
    _rows(table, thousands, {"edged": "one", "edged, in two datagrams": "two"}, "peer's names")
    _promise(table, "names", found["one"], NAMES, "flows/s")
    return table.held


def _rows(table: Table, found: dict[str, list[float]], rows: dict[str, str], peer: str) -> None:
    for title, name in rows.items():
        if found[peer]:
            table.against(title, found[name], found[peer])
        else:
            table.row(title, found[name])
    if found[peer]:
        table.row(PEER, found[peer])


def _promise(table: Table, title: str, rates: list[float], least: int, unit: str) -> None:
    rate = statistics.median(rates)
    table.say(f"{title}: at least {least:,} {unit}", f"{rate:,.0f}", held=rate >= least)


if __name__ == "__main__":
    raise SystemExit(main())
