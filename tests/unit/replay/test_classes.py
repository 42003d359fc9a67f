"""What a capture's packets and flows are told to be, packet by packet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edged.cli.root import edged
from edged.inspect.engine import UDP_IDLE, Inspector
from edged.inspect.sight import TrafficClass
from edged.replay import classes
from edged.replay.arrival import Arrival, Side
from edged.replay.classes import Classifier
from edged.replay.flows import Flows
from edged.replay.verdict import Judged, Judgement, Verdict
from edged.sources.hosts import Hosts
from tests.unit.inspect.detectors.p2p_flows import DHT_PEERS, DHT_PING, DNS, HANDSHAKE
from tests.unit.inspect.names.hellos import named, records
from tests.unit.packet.frames import decoded, fragment_header, ipv4, ipv6, tcp, udp

P2P, STREAMING = TrafficClass.P2P, TrafficClass.STREAMING
ROOT = Path(__file__).parents[3]
HELLO = records(named(b"cdn.video.example"))
PASSED, STOPPED = Judgement(Verdict.ACCEPT), Judgement(Verdict.DROP, "blocklist", "rules.d/10-blocklist.yaml:3")


class Capture:
    """Packets, one after another, and what is told of them."""

    def __init__(self) -> None:
        self.rows = Flows(0, "a.pcap")
        self.classifier = Classifier(Inspector(Hosts(frozenset({"video.example"}))), self.rows)
        self.now = 0

    def comes(self, data: bytes, judgement: Judgement = PASSED, after: int = 1_000_000) -> TrafficClass | None:
        self.now += after
        arrival = Arrival("a.pcap", 1, self.now, data, decoded(data), Side.ACCESS)
        (looked_into,) = self.classifier.looked_into((arrival,))
        (told,) = self.classifier.counted((Judged(looked_into, judgement),))
        assert told.arrival[:6] == arrival[:6]
        assert told.judgement is judgement
        return told.arrival.class_

    def told(self) -> list[tuple[str, str | None]]:
        """Class and host of each row."""
        return [(row.class_, row.hostname) for row in self.rows.rows()]


def over_udp(payload: bytes, sport: int = 40_000) -> bytes:
    return ipv4(udp(payload, sport, 6881), 17)


def test_a_packet_has_the_class_that_its_flow_is_known_as_with_it() -> None:
    capture = Capture()
    assert [capture.comes(over_udp(each)) for each in (b"x" * 30, DHT_PING, b"y" * 30)] == [None, P2P, P2P]
    assert capture.told() == [("p2p", None)]
    assert capture.classifier.flows == {P2P: 1, STREAMING: 0}


def test_a_packet_that_a_policy_stopped_has_no_class_and_gives_none_but_its_host_is_told() -> None:
    capture = Capture()
    assert capture.comes(ipv4(tcp(HELLO, 40_000, 443)), STOPPED) is None
    assert capture.comes(over_udp(DHT_PING), STOPPED) is None
    assert capture.told() == [("other", "cdn.video.example"), ("other", None)]
    assert capture.classifier.flows == {P2P: 0, STREAMING: 0}


def test_what_the_router_forwards_to_nobody_has_a_class() -> None:
    capture = Capture()
    assert capture.comes(over_udp(DHT_PING), Judgement(Verdict.DROP)) is P2P
    assert capture.told() == [("p2p", None)]


@pytest.mark.parametrize("backwards", [False, True])
def test_the_piece_that_makes_a_packet_whole_has_its_class_and_stands_in_its_row(backwards: bool) -> None:
    whole = udp(DHT_PEERS, 6881, 40_000)
    pieces = [
        ipv6(fragment_header(17, 0, more=True) + whole[:64], 44),
        ipv6(fragment_header(17, 64, more=False) + whole[64:], 44),
    ]
    capture = Capture()
    assert [capture.comes(each) for each in (reversed(pieces) if backwards else pieces)] == [None, P2P]
    rows = {(row.cport, row.sport): row.class_ for row in capture.rows.rows()}
    assert rows[6881, 40_000] == "p2p"
    assert capture.classifier.flows[P2P] == 1


def test_of_a_tunnel_the_packet_inside_is_looked_into() -> None:
    capture = Capture()
    assert capture.comes(ipv6(ipv4(tcp(HANDSHAKE, 40_000, 6881)), 4)) is P2P
    gtp = b"\x30\xff" + len(over_udp(DHT_PING)).to_bytes(2, "big") + bytes(4) + over_udp(DHT_PING)
    assert capture.comes(ipv4(udp(gtp, 2152, 2152), 17)) is P2P
    assert [(row.proto, row.cport, row.class_) for row in capture.rows.rows()] == [("tcp", 40_000, "p2p"), ("udp", 40_000, "p2p")]


def test_what_comes_later_between_the_same_ends_is_the_same_flow_and_takes_nothing_back() -> None:
    capture = Capture()
    assert capture.comes(over_udp(DHT_PING)) is P2P
    assert capture.comes(over_udp(DNS), after=2 * UDP_IDLE) is None
    assert capture.comes(over_udp(DHT_PING), after=2 * UDP_IDLE) is P2P
    assert capture.told() == [("p2p", None)]
    assert capture.classifier.flows == {P2P: 1, STREAMING: 0}


def test_a_flow_that_becomes_another_class_is_counted_once() -> None:
    capture = Capture()
    syn, ack = 0x02, 0x10
    assert capture.comes(ipv4(tcp(HANDSHAKE, 40_000, 443, flags=ack))) is P2P
    assert capture.comes(ipv4(tcp(b"", 40_000, 443, flags=syn))) is None
    hello = bytearray(ipv4(tcp(HELLO, 40_000, 443, flags=ack)))
    hello[24:28] = bytes.fromhex("ffffffff")  # behind the SYN
    assert capture.comes(bytes(hello)) is STREAMING
    assert capture.told() == [("streaming", "cdn.video.example")]
    assert capture.classifier.flows == {P2P: 0, STREAMING: 1}


def test_flows_beyond_the_bound_are_counted_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "MOST", 10)
    capture = Capture()
    for port in range(1_000, 1_025):
        assert capture.comes(over_udp(DHT_PING, port)) is P2P
    assert capture.classifier.flows[P2P] == 25


@pytest.mark.parametrize(
    ("caps", "filter_text", "seen"),
    [("enforce", "tcp", True), ("observe", "tcp", True), ("off", "tcp", False), ("off", "tcp and class == p2p", True)],
)
def test_packets_are_looked_into_where_caps_are_in_force_or_a_class_is_asked_for(
    tmp_path: Path, caps: str, filter_text: str, *, seen: bool
) -> None:
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "edged.yaml").write_text((ROOT / "pcaps/class_quic/edged.yaml").read_text())
    policy = f"policy: caps\nmode: {caps}\nclasses: {{p2p: {{after: 10MB, down: 2mbit, up: 1mbit}}}}\n"
    (tmp_path / "rules.d/caps.yaml").write_text(policy)
    (tmp_path / "expect.yaml").write_text(f"- {{filter: {filter_text}, verdict: accept, count: '>= 6'}}\n")
    options = ["-c", tmp_path / "edged.yaml", "--json", "--expect", tmp_path / "expect.yaml"]
    capture = ROOT / "pcaps/class_bittorrent/input.pcap"
    done = CliRunner().invoke(edged, ["replay", *map(str, options), str(capture)], prog_name="edged")
    assert done.exit_code == 0, done.output
    none = {"flows": 0, "packets": 0, "bytes": 0}
    told = {"p2p": {"flows": 1, "packets": 6, "bytes": 381}, "streaming": none} if seen else {}
    assert json.loads(done.stdout)["classes"] == told
