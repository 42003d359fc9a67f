"""Real captures, where they are at hand: what the decoder finds in them is what scapy finds.

They lie in the folder that EDGED_CORPUS names, or beside the checkout; they are no part of it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, Ether
from scapy.layers.ppp import PPP
from scapy.packet import Packet

from edged.addresses import Family
from edged.packet.decode import COOKED, ETHERNET, RAW, decode
from edged.packet.decode import PPP as LINK_PPP
from edged.packet.layers import UNREADABLE_HEADERS, Decoded
from edged.packet.reassembly import Reassembler, Whole
from edged.packet.tunnels import innermost
from edged.replay.readers import open_capture
from tests.tiers import require

CORPUS = Path(os.environ.get("EDGED_CORPUS", Path(__file__).parents[4] / "shared" / "corpus"))
SHORT, LONG = 60, 1 << 30  # packets of a capture that scapy is asked about: it takes 0.1 ms for each
MOST = LONG if os.environ.get("EDGED_PROFILE") == "long" else SHORT
SCAPY_LINKS = {ETHERNET: Ether, COOKED: CookedLinux, LINK_PPP: PPP}


def captures() -> list[Path]:
    return sorted(path for path in CORPUS.glob("**/pcap/*") if path.is_file())


@pytest.fixture(scope="module")
def files() -> list[Path]:
    if not (found := captures()):
        require("unit", f"no captures in {CORPUS} (EDGED_CORPUS says where they are)")
    return found


def scapy_ip(data: bytes, link: int) -> Packet | None:
    """The outermost IP layer that scapy finds."""
    if link == RAW:
        return IP(data) if data[0] >> 4 == 4 else IPv6(data)
    layer: Packet | None = SCAPY_LINKS[link](data)
    while layer and not isinstance(layer, IP | IPv6):
        layer = layer.payload
    return layer or None


def test_every_capture_is_read_to_its_end_and_every_packet_has_an_answer(files: list[Path]) -> None:
    packets = found = wholes = 0
    encapsulations: set[str] = set()
    for path in files:
        reassembler = Reassembler()
        with open_capture(path) as capture:
            for record in capture:
                packets += 1
                packet = decode(record.data, record.link, record.original_length)
                if isinstance(packet, Decoded):
                    found += 1
                    assert packet.network <= packet.transport <= packet.payload <= packet.end <= len(record.data)
                    encapsulations.update(each.value for each in innermost(packet, record.data).taken_off)
                    wholes += isinstance(reassembler.take(packet, record.data, record.nanoseconds), Whole)
        assert capture.damage is None, path
    assert found > packets * 0.95
    assert {"4in4", "6in4", "6in6", "gre", "gtp-u", "vxlan"} <= encapsulations
    assert wholes > 20


def test_scapy_finds_the_same(files: list[Path]) -> None:
    compared = 0
    for path in files:
        with open_capture(path) as capture:
            for record in capture:
                if record.number > MOST or (record.link != RAW and record.link not in SCAPY_LINKS):
                    break
                packet = decode(record.data, record.link, record.original_length)
                if not isinstance(packet, Decoded) or packet.dropped_by_stack in UNREADABLE_HEADERS:
                    continue
                ip = scapy_ip(record.data, record.link)
                assert ip is not None, (path, record.number)
                assert packet.family is (Family.IPV4 if isinstance(ip, IP) else Family.IPV6)
                ends = (packet.family.address(packet.source), packet.family.address(packet.destination))
                assert tuple(map(str, ends)) == (ip.src, ip.dst), (path, record.number)
                for layer, number in ((TCP, 6), (UDP, 17)):
                    if packet.protocol == number and packet.destination_port is not None and isinstance(ip.payload, layer):
                        assert (packet.source_port, packet.destination_port) == (ip.payload.sport, ip.payload.dport)
                        if layer is TCP and packet.flags is not None:
                            assert packet.flags == int(ip.payload.flags)
                        compared += 1
    assert compared > 1000
