"""Lanes change nothing but the time it takes: the counts of a capture are the same without, and so is all that is remembered."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.lists.offline import in_force
from edged.loader import Configuration, load
from edged.packet.decode import ETHERNET, RAW
from edged.replay import classes, connections, lanes
from edged.replay.arrival import Side
from edged.replay.sides import ByMac
from tests.unit.inspect.detectors.p2p_flows import DHT_PING, HANDSHAKE
from tests.unit.inspect.names.hellos import named, records
from tests.unit.packet.frames import MAC, TCP, UDP, checksum, ethernet, fragment_header
from tests.unit.replay.laned import both_ways

SECOND = 1_000_000_000
UNTIL = int(datetime(2030, 12, 31, tzinfo=UTC).timestamp())  # an exemption ends
FIN, SYN, RST, ACK, URG = 0x01, 0x02, 0x04, 0x10, 0x20

POLICY = {
    "edged.yaml": """\
gateway: {name: gw1, access: [lan0], upstream: [wan0]}
pools: {dynamic: [203.0.113.0/25, "2001:db8:d::/48"], static: [203.0.113.64/28]}
state: state
""",
    "rules.d/10-blocklist.yaml": "policy: blocklist\nlists: [{name: some, path: some.txt}]\n",
    "rules.d/20-op25b.yaml": """\
policy: op25b
exempt:
  subscribers: [{prefix: 203.0.113.10/32, until: "2030-12-31T00:00:00+00:00", owner: noc, reason: "runs a mail server"}]
""",
    "rules.d/30-ip53b.yaml": "policy: ip53b\nmode: observe\n",
    "rules.d/40-spoof.yaml": "policy: spoof\n",
    "rules.d/50-caps.yaml": "policy: caps\nclasses: {p2p: {after: 1MB, down: 1mbit, up: 1mbit}}\nstreaming_hosts: hosts.txt\n",
    "some.txt": "198.51.100.66\n2001:db8:f::66\n",
    "hosts.txt": "video.example\n",
}

SUBSCRIBERS = (("203.0.113.10", "203.0.113.20", "198.51.100.7"), ("2001:db8:d::10", "2001:db8:5::20"))
FAR_ENDS = (("198.51.100.9", "198.51.100.66", "224.0.0.5"), ("2001:db8:f::9", "2001:db8:f::66"))
PAYLOADS = (b"", b"", b"x" * 30, records(named(b"cdn.video.example")), records(named(b"www.example")), HANDSHAKE, DHT_PING)
TCP_FLAGS = (ACK, ACK, ACK, ACK | URG, SYN, SYN | ACK, ACK | FIN, RST, RST | ACK, 0, SYN | FIN, 0x110)
GAPS = (
    *(0, 1_000, 1_000_000, 1_000_000, SECOND - 1, SECOND, 2 * SECOND - 2_000_000, 2 * SECOND, 2 * SECOND + 1),
    *(seconds * SECOND + more for seconds in (10, 30, 60, 120, 180, 300, 432_000) for more in (0, 1)),
    *(-1, -SECOND, -40 * SECOND, -200 * SECOND, -432_001 * SECOND),
)


class Talk(NamedTuple):
    """A connection's ends; the first is a subscriber's, or pretends to be."""

    protocol: int
    near: str
    far: str
    near_port: int
    far_port: int


class Step(NamedTuple):
    """Some packets of one direction of a talk that are alike, the first of them `gap` nanoseconds after what came before."""

    talk: int
    is_reply: bool
    flags: int
    payload: bytes
    packets: int
    gap: int
    damage: str


DAMAGE = (
    *("checksum", "length", "version", "options", "type", "vlan", "transport"),  # what the headers say
    *("cut", "short", "longer", "first piece", "last piece"),  # how much of it there is
)


@st.composite
def talks(draw: st.DrawFn) -> Talk:
    family = draw(st.sampled_from((0, 0, 1)))
    far_port = draw(st.sampled_from((25, 53, 443, 443, 2152, 6881)))
    ends = draw(st.sampled_from(SUBSCRIBERS[family])), draw(st.sampled_from(FAR_ENDS[family]))
    return Talk(draw(st.sampled_from((TCP, UDP))), *ends, draw(st.sampled_from((40_000, 40_001))), far_port)


STEPS = st.builds(
    Step,
    talk=st.integers(0, 3),
    is_reply=st.booleans(),
    flags=st.sampled_from((ACK,) * 12 + TCP_FLAGS),
    payload=st.sampled_from(PAYLOADS),
    packets=st.integers(1, 30),
    gap=st.sampled_from((1_000_000,) * 20 + GAPS),
    damage=st.sampled_from(("",) * 24 + DAMAGE),
)


def frame(talk: Talk, step: Step, number: int, link: int) -> tuple[bytes, int]:
    """The packet, and how long it was on the wire."""
    ends, ports = (talk.near, talk.far), (talk.near_port, talk.far_port)
    if step.is_reply:
        ends, ports = ends[::-1], ports[::-1]
    if talk.protocol == TCP:
        data = struct.pack("!HHIIHHHH", *ports, number, 7, 5 << 12 | step.flags, 512, 0, 0) + step.payload
    else:
        data = struct.pack("!HHHH", *ports, 8 + len(step.payload), 0) + step.payload
    if step.damage == "transport":
        data = data[: 7 if talk.protocol == UDP else 19]
    source, destination = (ip_address(each).packed for each in ends)
    if len(source) == 4:
        data, ethertype = _ipv4(talk.protocol, source + destination, data, step.damage), 0x0800
    else:
        data, ethertype = _ipv6(talk.protocol, source + destination, data, step.damage), 0x86DD
    if link == ETHERNET:
        if step.damage == "vlan":
            data, ethertype = struct.pack("!HH", 7, ethertype) + data, 0x8100
        data = ethernet(data, 0x0806 if step.damage == "type" else ethertype)
    on_wire = len(data)
    if step.damage in ("cut", "short"):
        data = data[: -len(step.payload) - 3]
    return data, len(data) if step.damage == "short" else on_wire


def _ipv4(protocol: int, ends: bytes, data: bytes, damage: str) -> bytes:
    cut = {"first piece": 0x2000, "last piece": 5}.get(damage, 0)
    options = bytes(4) if damage == "options" else b""
    length = 20 + len(options) + len(data) + {"length": 1, "longer": -3}.get(damage, 0)
    first = (3 if damage == "version" else 4) << 4 | 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", first, 0, length, 7, cut, 63, protocol, 0) + ends + options
    return head[:10] + struct.pack("!H", checksum(head) ^ (damage == "checksum")) + head[12:] + data


def _ipv6(protocol: int, ends: bytes, data: bytes, damage: str) -> bytes:
    if damage in ("first piece", "last piece"):
        more = damage == "first piece"
        data, protocol = fragment_header(protocol, 0 if more else 40, more=more) + data, 44
    elif damage == "options":
        data, protocol = bytes((protocol, 0, 1, 4, 0, 0, 0, 0)) + data, 60
    length = len(data) + {"length": 1, "longer": -3}.get(damage, 0)
    return struct.pack("!IHBB", (5 if damage == "version" else 6) << 28, length, protocol, 62) + ends + data


def capture(path: Path, talking: list[Talk], steps: list[Step], link: int) -> None:
    now, number = (UNTIL - 1) * SECOND, 0
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, link))
        for step in steps:
            now += step.gap
            for _ in range(step.packets):
                number += 1
                data, on_wire = frame(talking[step.talk % len(talking)], step, number, link)
                out.write(struct.pack("<IIII", now // SECOND, now % SECOND, len(data), on_wire) + data)
                now += 1_000_000


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "rules.d").mkdir()
    for name, content in POLICY.items():
        (folder / name).write_text(content)
    return in_force(load(folder / "edged.yaml", now=datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.fixture(params=["room", "no room"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a capture may be put; without room all that is remembered is soon forgotten."""
    if request.param == "no room":
        monkeypatch.setattr(lanes, "MOST", 2)
        monkeypatch.setattr(connections, "MOST", 3)
        monkeypatch.setattr(classes, "MOST", 1)
    return tmp_path / "capture.pcap"


@pytest.mark.parametrize("with_classes", [True, False], ids=["classes", "no classes"])
def test_counts_and_all_that_is_remembered_are_the_same_without_lanes(
    configuration: Configuration, file: Path, with_classes: bool
) -> None:
    carried = seen = 0
    most_flows = 1000 if connections.MOST > 3 else 2

    @given(st.lists(talks(), min_size=1, max_size=4), st.lists(STEPS, min_size=20, max_size=40), st.sampled_from((ETHERNET, RAW)))
    def same(talking: list[Talk], steps: list[Step], link: int) -> None:
        nonlocal carried, seen
        capture(file, talking, steps, link)
        by_lanes, slowly = both_ways(configuration, file, classes=with_classes, most_flows=most_flows)
        assert by_lanes.document == slowly.document
        assert by_lanes.left == slowly.left
        seen += slowly.slow
        carried += slowly.slow - by_lanes.slow

    same()
    assert carried > 0.1 * seen > 100


def test_where_a_mac_tells_the_side_there_are_no_lanes(configuration: Configuration, tmp_path: Path) -> None:
    file = tmp_path / "capture.pcap"
    talk = Talk(UDP, "203.0.113.10", "198.51.100.9", 40_000, 443)
    capture(file, [talk], [Step(0, False, 0, b"x" * 30, 50, 0, "")], ETHERNET)
    by_lanes, slowly = both_ways(configuration, file, classes=True)
    assert (by_lanes.document, slowly.slow) == (slowly.document, 50)
    assert by_lanes.slow < 20
    asked = []

    class Asked(ByMac):
        def __call__(self, packet: object) -> Side:
            asked.append(packet)
            return Side.ACCESS

    by_lanes, slowly = both_ways(configuration, file, classes=True, side_of=Asked(frozenset({MAC})))
    assert by_lanes.document == slowly.document
    assert len(asked) == 2 * 50
