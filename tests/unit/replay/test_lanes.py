"""Lanes change nothing but the time it takes: the counts of a capture are the same without, and so is all that is remembered."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.lists.offline import in_force
from edged.loader import load
from edged.packet.decode import ETHERNET, RAW
from edged.replay import classes, connections, lanes
from edged.replay.arrival import Side
from edged.replay.sides import ByMac, SideOf
from tests.unit.inspect.detectors.p2p_flows import DHT_PING, HANDSHAKE
from tests.unit.inspect.names.hellos import named, records
from tests.unit.packet.frames import MAC, TCP, UDP, ipv4, tcp
from tests.unit.replay.laned import BothWays
from tests.unit.replay.talks import ACK, DAMAGE, FIN, RST, SECOND, SYN, URG, Step, Talk, capture

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


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "rules.d").mkdir()
    for name, content in POLICY.items():
        (folder / name).write_text(content)
    return BothWays(in_force(load(folder / "edged.yaml", now=datetime(2026, 1, 1, tzinfo=UTC))))


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
    both_ways: BothWays, file: Path, with_classes: bool
) -> None:
    carried = seen = 0
    most_flows = 1000 if connections.MOST > 3 else 2

    @given(st.lists(talks(), min_size=1, max_size=4), st.lists(STEPS, min_size=20, max_size=40), st.sampled_from((ETHERNET, RAW)))
    def same(talking: list[Talk], steps: list[Step], link: int) -> None:
        nonlocal carried, seen
        capture(file, talking, steps, link)
        by_lanes, slowly = both_ways.told(file, classes=with_classes, most_flows=most_flows)
        assert by_lanes.document == slowly.document
        assert by_lanes.left == slowly.left
        seen += slowly.slow
        carried += slowly.slow - by_lanes.slow

    same()
    assert carried > 0.1 * seen > 100


def plain(
    packets: int = 6,
    payload: bytes = b"x" * 30,
    gap: int = 1_000_000,
    *,
    talk: int = 0,
    is_reply: bool = False,
    flags: int = ACK,
    damage: str = "",
) -> Step:
    return Step(talk, is_reply, flags, payload, packets, gap, damage)


VIDEO = records(named(b"cdn.video.example"))
_INSIDE = ipv4(tcp(VIDEO, 40_002, 443))
TUNNELLED = struct.pack("!BBHI", 0x30, 0xFF, len(_INSIDE), 1) + _INSIDE  # a G-PDU of GTP-U
# what comes before, so that there are lanes: in one direction, in both, of a flow that is not decided, or of a closing connection
SETTLED = {
    "unanswered": (plain(12),),
    "bare": (plain(6, b""),),
    "both": (plain(1, VIDEO), plain(6), plain(6, is_reply=True), plain(6)),
    "both bare": (plain(3, b""), plain(3, b"", is_reply=True), plain(3, b"")),
    "long": (plain(9), plain(9, is_reply=True), plain(3, gap=2 * SECOND), plain(3)),
    "closing": (plain(9), plain(1, flags=ACK | FIN), plain(6), plain(6, is_reply=True)),
    "many": tuple(plain(9, VIDEO, talk=talk) for talk in (0, 1, 0, 1)),
}
# and then something comes that may not go by a lane, or after which others may not
ODD = (
    *(plain(1, damage=damage) for damage in DAMAGE),
    *(plain(1, b"", damage=damage) for damage in ("cut", "transport", "length")),
    *(plain(1, flags=flags) for flags in sorted(set(TCP_FLAGS))),
    *(plain(1, gap=gap) for gap in GAPS),
    *(plain(1, payload) for payload in (b"", VIDEO, DHT_PING, TUNNELLED)),
    plain(1, is_reply=True),
    plain(1, HANDSHAKE, is_reply=True),
    plain(1, is_reply=True, flags=SYN | ACK),
    plain(1, is_reply=True, flags=ACK | FIN),
    plain(3, VIDEO, talk=1),
)
AFTER: tuple[tuple[Step, ...], ...] = ((), (plain(1, b""),), (plain(1, b"", gap=35 * SECOND), plain(2)))
NEIGHBOUR = Talk(TCP, "203.0.113.20", "198.51.100.9", 40_001, 443)
ENDS = {
    "tcp": Talk(TCP, "203.0.113.20", "198.51.100.9", 40_000, 443),
    "udp": Talk(UDP, "203.0.113.20", "198.51.100.9", 40_000, 443),
    "tcp6": Talk(TCP, "2001:db8:d::10", "2001:db8:f::9", 40_000, 443),
    "udp6": Talk(UDP, "2001:db8:d::10", "2001:db8:f::9", 40_000, 443),
    "exempt until then": Talk(TCP, "203.0.113.10", "198.51.100.9", 40_000, 25),
    "tunnel": Talk(UDP, "203.0.113.20", "198.51.100.9", 40_000, 2152),
    "refused": Talk(UDP, "203.0.113.20", "198.51.100.66", 40_000, 443),
}


@pytest.mark.parametrize("before", SETTLED.values(), ids=SETTLED)
@pytest.mark.parametrize("talk", ENDS.values(), ids=ENDS)
def test_an_odd_packet_among_settled_ones(both_ways: BothWays, tmp_path: Path, talk: Talk, before: tuple[Step, ...]) -> None:
    same_after_odd_ones(both_ways, tmp_path / "capture.pcap", [talk, NEIGHBOUR], before)


@pytest.mark.parametrize("before", SETTLED.values(), ids=SETTLED)
def test_an_odd_packet_among_forged_ones_which_are_refused_though_answers_are_not(
    both_ways: BothWays, tmp_path: Path, before: tuple[Step, ...]
) -> None:
    same_after_odd_ones(both_ways, tmp_path / "capture.pcap", [ENDS["tcp"], NEIGHBOUR], before, lambda _: Side.UPSTREAM)


def test_an_odd_packet_where_little_is_remembered(both_ways: BothWays, file: Path) -> None:
    same_after_odd_ones(both_ways, file, [ENDS["tcp"], NEIGHBOUR], SETTLED["many"])


@pytest.mark.parametrize("with_classes", [True, False], ids=["classes", "no classes"])
def test_a_packet_that_gives_a_piece_up(both_ways: BothWays, tmp_path: Path, with_classes: bool) -> None:
    file = tmp_path / "capture.pcap"
    pieces = [plain(1, b"x" * 20, damage="first piece"), plain(1, b"x" * 20, -55 * SECOND, damage="last piece")]
    steps = [plain(9, gap=2 * SECOND), pieces[0], plain(3), plain(1, gap=61 * SECOND), pieces[1], plain(3)]  # no exemption ends
    capture(file, [ENDS["tcp"]], steps, ETHERNET)
    by_lanes, slowly = both_ways.told(file, classes=with_classes)
    assert (by_lanes.document, by_lanes.left) == (slowly.document, slowly.left)
    assert slowly.document["verdicts"] == {"accept": 17, "drop": 1, "reject": 0}
    assert by_lanes.slow < slowly.slow


def same_after_odd_ones(
    both_ways: BothWays, file: Path, talking: list[Talk], before: tuple[Step, ...], side_of: SideOf | None = None
) -> None:
    for odd in ODD:
        for after in AFTER:
            capture(file, talking, [*before, odd, *after], ETHERNET)
            by_lanes, slowly = both_ways.told(file, classes=True, side_of=side_of)
            assert (by_lanes.document, by_lanes.left) == (slowly.document, slowly.left), (odd, after)


def test_where_a_mac_tells_the_side_there_are_no_lanes(both_ways: BothWays, tmp_path: Path) -> None:
    file = tmp_path / "capture.pcap"
    talk = Talk(UDP, "203.0.113.10", "198.51.100.9", 40_000, 443)
    capture(file, [talk], [Step(0, False, 0, b"x" * 30, 50, 0, "")], ETHERNET)
    by_lanes, slowly = both_ways.told(file, classes=True)
    assert (by_lanes.document, slowly.slow) == (slowly.document, 50)
    assert by_lanes.slow < 20
    asked = []

    class Asked(ByMac):
        def __call__(self, packet: object) -> Side:
            asked.append(packet)
            return Side.ACCESS

    by_lanes, slowly = both_ways.told(file, classes=True, side_of=Asked(frozenset({MAC})))
    assert by_lanes.document == slowly.document
    assert len(asked) == 2 * 50
