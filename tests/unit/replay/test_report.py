"""What a replay counts and writes: the object of --json, the tables, the lines of --packets and the rows of --flows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edged.inspect.sight import TrafficClass
from edged.replay.expect import Expectations, Result
from edged.replay.expect_file import read_expectations
from edged.replay.report import Summary
from edged.replay.screen import screen
from edged.replay.verdict import Judged, Judgement, Verdict
from edged.replay.writers import FlowRow, FlowsWriter, PacketsWriter
from tests.unit.replay.judging import NAMES, judged, packet, rejected

PACKETS = (
    rejected(),
    rejected(number=2),
    judged(judgement=Judgement(Verdict.DROP), number=3),  # by the router, before any rule
    judged(judgement=Judgement(Verdict.ACCEPT, observed=("op25b", "blocklist")), capture="b.pcap", class_=TrafficClass.P2P),
    judged(packet(length=1000), capture="b.pcap", number=2, class_=TrafficClass.P2P),
)


def summary() -> Summary:
    found = Summary("model", ("a.pcap", "b.pcap"), ("spoof", "op25b"))
    for each in PACKETS:
        found.add(each)
    found.add_unparsed("a.pcap", "ARP")
    found.add_unparsed("b.pcap", "ARP", 3)
    found.add_unparsed("b.pcap", "the IPv4 header is cut off")
    found.add_flows(TrafficClass.P2P, 1)
    return found


def missed() -> tuple[Result, ...]:
    text = "- {filter: tcp, verdict: reject, count: 2, name: port 25}\n- {filter: udp, verdict: drop, count: 1}\n"
    expectations = Expectations(read_expectations("expect.yaml", text.encode(), NAMES))
    for each in PACKETS:
        expectations.feed(each)
    return expectations.results()


def test_the_object_of_json() -> None:
    document = {
        "schema": "edged/v1/replay",
        "engine": "model",
        "captures": ["a.pcap", "b.pcap"],
        "packets": 10,
        "unparsed": 5,
        "verdicts": {"accept": 2, "drop": 1, "reject": 2},
        "policies": {
            "spoof": {"drop": 0, "reject": 0, "observe": 0},
            "op25b": {"drop": 0, "reject": 2, "observe": 1},
            "blocklist": {"drop": 0, "reject": 0, "observe": 1},
        },
        "classes": {"p2p": {"flows": 1, "packets": 2, "bytes": 1060}},
    }
    assert json.dumps(summary().document()) == json.dumps(document)
    assert json.dumps(summary().document(1.23456)) == json.dumps({**document, "seconds": 1.235})


def test_a_replay_of_nothing() -> None:
    document = Summary("kernel", ()).document()
    assert (document["packets"], document["unparsed"], document["policies"], document["classes"]) == (0, 0, {}, {})
    assert document["verdicts"] == {"accept": 0, "drop": 0, "reject": 0}


def printed(found: Summary, results: Iterable[Result] = (), seconds: float | None = None) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=160, highlight=False)
    for each in screen(found, tuple(results), seconds):
        console.print(each)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_the_tables_for_people() -> None:
    assert printed(summary(), missed(), 2.0) == [
        "capture packets unparsed accept drop reject",
        "a.pcap 4 1 0 1 2",
        "b.pcap 6 4 2 0 0",
        "all 10 5 2 1 2",
        "no IP packet found in 4 (ARP), 1 (the IPv4 header is cut off)",
        "policy drop reject observe",
        "spoof 0 0 0",
        "op25b 0 2 1",
        "blocklist 0 0 1",
        "class flows packets bytes",
        "p2p 1 2 1,060",
        "expectation wanted got",
        "port 25 2 reject 2 held",
        "udp 1 drop 0 MISSED",
        "expect.yaml:2: wanted 1 drop, got 0; no packet matches udp",
        "2.0 s, 5 packets/s, engine: model",
    ]


def test_a_capture_cannot_write_to_the_terminal_or_style_the_table() -> None:
    name = "[bold]\x1b[2J\u202e.pcap"
    found = Summary("model", (name,))
    found.add_unparsed(name, "\x07")
    text = "\n".join(printed(found))
    assert "[bold]\\x1b[2J\\u202e.pcap 1 1 0 0 0" in text
    assert "(\\x07)" in text


def lines(*packets: Judged) -> str:
    out = io.StringIO()
    writer = PacketsWriter(out)
    for each in packets:
        writer.write(each)
    return out.getvalue()


def test_the_lines_of_packets() -> None:
    assert lines(PACKETS[0], PACKETS[4]) == (
        '{"capture": "a.pcap", "n": 1, "ts": 1700000000.123456789, "verdict": "reject", "policy": "op25b", '
        '"rule": "rules.d/20-op25b.yaml:4", "class": null}\n'
        '{"capture": "b.pcap", "n": 2, "ts": 1700000000.123456789, "verdict": "accept", "policy": null, '
        '"rule": null, "class": "p2p"}\n'
    )


@given(st.integers(-(2**63), 2**64), st.text())
def test_a_line_is_json_and_its_time_is_exact(nanoseconds: int, capture: str) -> None:
    line = lines(judged(nanoseconds=nanoseconds, capture=capture))
    found = json.loads(line, parse_float=Decimal)
    assert line.count("\n") == 1
    assert found["capture"] == capture
    assert found["ts"] * 1_000_000_000 == nanoseconds
    assert found["ts"].as_tuple().exponent == -9


def flow(first: tuple[int, int], **more: Any) -> FlowRow:
    ends = ("203.0.113.7", 40000, "198.51.100.9", 443)
    row = FlowRow(first, "a.pcap", "tcp", *ends, TrafficClass.STREAMING, "v.example", None, "accept", 9, 999)
    return row._replace(**more)


def rows(*flows: FlowRow) -> str:
    out = io.StringIO()
    FlowsWriter(out).write(flows)
    return out.getvalue()


def test_the_rows_of_flows() -> None:
    mail = flow((0, 1), class_="other", hostname=None, policy="op25b", verdict="reject", packets=1, octets=60)
    assert rows(mail, flow((0, 2))) == (
        "file,proto,client,cport,server,sport,class,hostname,policy,verdict,packets,bytes\n"
        "a.pcap,tcp,203.0.113.7,40000,198.51.100.9,443,other,,op25b,reject,1,60\n"
        "a.pcap,tcp,203.0.113.7,40000,198.51.100.9,443,streaming,v.example,,accept,9,999\n"
    )


@pytest.mark.parametrize(
    ("hostname", "written"),
    [
        ('a"b', 'a"b'),
        ("a,b", "a,b"),
        ("a\nb", "a\\nb"),
        ("a\rb\x1b", "a\\rb\\x1b"),
        ("", ""),
        ("日本.example", "日本.example"),
    ],
)
def test_a_flow_is_one_line_whatever_its_host_name_is(hostname: str, written: str) -> None:
    text = rows(flow((0, 1), hostname=hostname))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert len(text.splitlines()) == 2
    assert row["hostname"] == written
    assert row["bytes"] == "999"
