"""What `edged replay --flows` says of labelled flows: classes and host names, over real captures.

The captures are other projects', as those of test_corpus.py, and come with labels; without them this says so. A class of `host`
basis measures the service list, so it is told apart; host names count where two independent readers agree on them.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner

from edged.cli.root import edged
from edged.inspect.sight import TrafficClass

CORPUS = Path(os.environ.get("EDGED_CORPUS") or Path(__file__).parents[3] / "shared/corpus")
POLICY = Path(__file__).parents[2] / "rules/edged.yaml"
AGREED = {"nDPI+tshark", "nDPI(truncated)+tshark", "tshark"}

End = tuple[str, int]
FlowKey = tuple[str, str, tuple[End, ...]]


@dataclass(frozen=True, slots=True)
class Label:
    flow: FlowKey
    traffic_class: str  # p2p, streaming or other
    basis: str
    protocol: str
    host: str  # empty where none is certain


def flow_of(row: Mapping[str, str]) -> FlowKey:
    """What a row of either table is about, whoever of the two is the client."""
    ends = [(str(ip_address(row[host])), int(row[port])) for host, port in (("client", "cport"), ("server", "sport"))]
    return row["file"], row["proto"], tuple(sorted(ends))


def labels() -> Iterator[Label]:
    with (CORPUS / "dev/labels.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            host = row["hostname"].lower().rstrip(".") if row["hostname_source"] in AGREED else ""
            yield Label(flow_of(row), row["class"], row["basis"], row["ndpi_proto"], without_port(host))


def without_port(host: str) -> str:
    return host.partition(":")[0] if host.count(":") == 1 else host


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Label, str, str]]:
    """Each label, with the class and the host that `edged replay --flows` tells."""
    captures = sorted((CORPUS / "dev/pcap").glob("*")) if (CORPUS / "dev/labels.csv").exists() else []
    if not captures:
        pytest.skip(f"no labelled captures in {CORPUS}: set EDGED_CORPUS to their place")
    flows = tmp_path_factory.mktemp("flows") / "flows.csv"
    arguments = ["replay", "-c", str(POLICY), "--json", "--flows", str(flows), *map(str, captures)]
    done = CliRunner().invoke(edged, arguments, prog_name="edged")
    assert done.exit_code == 0, done.output
    told: dict[FlowKey, tuple[str, str]] = {}
    by_class: Counter[str] = Counter()
    with flows.open(newline="") as rows:
        for row in csv.DictReader(rows):
            by_class[row["class"]] += 1
            told[flow_of(row)] = row["class"], without_port(row["hostname"].rstrip("."))
    counted = {name: each["flows"] for name, each in json.loads(done.stdout)["classes"].items()}
    assert counted == {name: by_class[name] for name in TrafficClass}
    return [(label, *told.get(label.flow, ("other", ""))) for label in labels()]


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
