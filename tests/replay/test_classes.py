"""What the inspector says of labelled flows: classes and host names, over real captures.

The captures are other projects', as those of test_corpus.py, and come with labels; without them this says so. A class of `host`
basis measures the service list, so it is told apart; host names count where two independent readers agree on them.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.inspect.decision import Decision
from edged.inspect.engine import Inspector
from edged.inspect.sight import TrafficClass
from edged.packet.decode import RAW, decode
from edged.packet.layers import TCP, UDP, Decoded
from edged.packet.reassembly import Reassembler, Whole
from edged.packet.tunnels import innermost
from edged.replay.readers import open_capture
from edged.sources.hosts import Hosts, parse_hosts

CORPUS = Path(os.environ.get("EDGED_CORPUS") or Path(__file__).parents[3] / "shared/corpus")
HOSTS = Path(__file__).parents[2] / "rules/hosts/streaming.txt"
AGREED = {"nDPI+tshark", "nDPI(truncated)+tshark", "tshark"}

End = tuple[str, int]
FlowKey = tuple[str, str, End, End]


@dataclass(frozen=True, slots=True)
class Label:
    flow: FlowKey
    traffic_class: str  # p2p, streaming or other
    basis: str
    protocol: str
    host: str  # empty where none is certain


def flow_key(file: str, transport: str, one: End, other: End) -> FlowKey:
    lower, higher = sorted((one, other))
    return file, transport, lower, higher


def labels() -> Iterator[Label]:
    with (CORPUS / "dev/labels.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            ends = [(str(ip_address(row[host])), int(row[port])) for host, port in (("client", "cport"), ("server", "sport"))]
            host = row["hostname"].lower().rstrip(".") if row["hostname_source"] in AGREED else ""
            yield Label(
                flow_key(row["file"], row["proto"], *ends), row["class"], row["basis"], row["ndpi_proto"], without_port(host)
            )


def without_port(host: str) -> str:
    return host.partition(":")[0] if host.count(":") == 1 else host


def packets(path: Path) -> Iterator[tuple[int, Decoded, bytes]]:
    """The subscribers' packets of a capture: reassembled, and with their tunnels taken off."""
    reassembler = Reassembler()
    with open_capture(path) as capture:
        for record in capture:
            packet, data = decode(record.data, record.link, record.original_length), record.data
            if not isinstance(packet, Decoded):
                continue
            taken = reassembler.take(packet, data, record.nanoseconds)
            if isinstance(taken, Whole):
                packet, data = decode(taken.data, RAW), taken.data
                assert isinstance(packet, Decoded)
            yield record.nanoseconds, innermost(packet, data).packet, data


def decisions(path: Path, hosts: Hosts) -> dict[FlowKey, Decision]:
    """The last that was said of each flow."""
    inspector = Inspector(hosts)
    told: dict[FlowKey, Decision] = {}
    for now, packet, data in packets(path):
        decision = inspector.feed(now, packet, data)
        if decision is not None:
            assert packet.protocol in (TCP, UDP)
            told[flow_key(path.name, "tcp" if packet.protocol == TCP else "udp", *ends_of(packet))] = decision
    return told


def ends_of(packet: Decoded) -> tuple[End, End]:
    family: Family = packet.family
    assert packet.source_port is not None
    assert packet.destination_port is not None
    source, destination = family.address(packet.source), family.address(packet.destination)
    return (str(source), packet.source_port), (str(destination), packet.destination_port)


@pytest.fixture(scope="module")
def judged() -> list[tuple[Label, str, str]]:
    """Each label, with the class and the host that the inspector tells."""
    captures = sorted((CORPUS / "dev/pcap").glob("*")) if (CORPUS / "dev/labels.csv").exists() else []
    if not captures:
        pytest.skip(f"no labelled captures in {CORPUS}: set EDGED_CORPUS to their place")
    hosts = parse_hosts(HOSTS.read_bytes()).hosts
    told: dict[FlowKey, Decision] = {}
    for path in captures:
        told |= decisions(path, hosts)
    return [(label, *said(told.get(label.flow))) for label in labels()]


def said(decision: Decision | None) -> tuple[str, str]:
    if decision is None:
        return "other", ""
    return decision.traffic_class or "other", without_port((decision.host or "").rstrip("."))


@pytest.mark.parametrize("traffic_class", list(TrafficClass))
def test_classes(judged: list[tuple[Label, str, str]], traffic_class: TrafficClass) -> None:
    scored = [(label, told == traffic_class) for label, told, _ in judged if label.traffic_class != "unscored"]
    right = [is_told for label, is_told in scored if label.traffic_class == traffic_class]
    false = [label.flow for label, is_told in scored if is_told and label.traffic_class != traffic_class]
    assert len(right) > 50
    assert sum(right) / (sum(right) + len(false)) >= 0.99, false
    by_protocol: dict[str, list[bool]] = defaultdict(list)
    by_basis: dict[str, list[bool]] = defaultdict(list)
    for label, is_told in scored:
        if label.traffic_class == traffic_class:
            by_protocol[label.protocol.rpartition(".")[2]].append(is_told)
            by_basis["host" if label.basis == "host" else "content"].append(is_told)
    assert sum(by_basis["content"]) / len(by_basis["content"]) >= 0.95, by_protocol
    if traffic_class is TrafficClass.P2P:
        assert sum(sum(each) / len(each) for each in by_protocol.values()) / len(by_protocol) >= 0.97, by_protocol
    else:
        assert sum(by_basis["host"]) / len(by_basis["host"]) >= 0.95, by_protocol


def test_what_is_neither_is_taken_for_neither(judged: list[tuple[Label, str, str]]) -> None:
    others = [(label.flow, told) for label, told, _ in judged if label.traffic_class == "other"]
    false = [(flow, told) for flow, told in others if told != "other"]
    assert len(others) > 1000
    assert len(false) / len(others) <= 0.002, false


@pytest.mark.parametrize(("protocol", "least"), [("TLS", 1.0), ("QUIC", 0.99), ("HTTP", 0.98), ("DNS", 0.99)])
def test_names_are_told_and_never_wrong(judged: list[tuple[Label, str, str]], protocol: str, least: float) -> None:
    named = [(label, host) for label, _, host in judged if label.host and label.protocol.partition(".")[0] == protocol]
    counts = Counter("right" if host == label.host else "missing" if not host else "wrong" for label, host in named)
    assert len(named) > 100
    assert counts["wrong"] == 0, [label.flow for label, host in named if host and host != label.host]
    assert counts["right"] / len(named) >= least, counts
