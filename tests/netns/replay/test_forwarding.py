"""What the model says no Linux router forwards, and what it does forward: the kernel does the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest

from edged.packet.decode import RAW, decode
from edged.packet.layers import Decoded
from edged.replay.arrival import Side
from edged.replay.forwarding import not_forwarded
from edged.replay.kernel import KernelEngine, network
from tests.gateway import IPV4, IPV6, NOW, SITE, table_of
from tests.netns.replay.captures import arrivals
from tests.netns.replay.packets import udp

FAR = {4: "198.18.0.9", 6: "2001:db8:f::9"}
NEVER_SOURCES = (
    *("224.0.0.1", "239.255.255.255", "255.255.255.255", "0.0.0.0", "127.0.0.1", "127.255.255.255"),
    *("::", "::1", "ff02::1", "ff0e::1", "ffff:ffff::1", "fe80::1", "febf:ffff::1"),
)
NEVER_DESTINATIONS = (
    *("224.0.0.1", "239.255.255.255", "255.255.255.255", "0.0.0.0", "127.0.0.1", "127.255.255.255"),
    *("::1", "ff01::1", "ff02::1", "ff0e::1", "fe80::1", "febf:ffff::1"),
)
ORDINARY = (
    *("0.0.0.1", "1.1.1.1", "126.255.255.255", "128.0.0.1", "169.254.1.1", "203.0.113.255", "223.255.255.255", "240.0.0.1"),
    *("255.255.255.254", "::2", "::192.0.2.1", "::ffff:192.0.2.1", "64:ff9b::1", "fec0::1", "fc00::1", "fe7f:ffff::1", "feff::1"),
)


@pytest.fixture(scope="module")
def engine() -> Iterator[KernelEngine]:
    """A gateway without a policy, which keeps nothing on its link but what Linux does."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network, "_KEPT_ON_LINK", ())
            entered = stack.enter_context(KernelEngine(table_of([]), SITE, clock=lambda: NOW))
        yield entered


def leaves(engine: KernelEngine, packet: bytes, side: Side) -> bool:
    [judged] = engine.judge(arrivals(side, packet))
    assert judged.judgement.policy is None
    return judged.judgement.verdict.value == "accept"


def reason(packet: bytes) -> str:
    decoded = decode(packet, RAW)
    assert isinstance(decoded, Decoded)
    return not_forwarded(decoded)


def from_to(source: str, destination: str) -> bytes:
    return udp(ip_address(source), ip_address(destination))


@pytest.mark.parametrize("source", NEVER_SOURCES)
def test_these_sources_leave_their_link_by_no_router(engine: KernelEngine, source: str) -> None:
    version = ip_address(source).version
    at = IPV4 if version == 4 else IPV6
    for packet, side in ((from_to(source, FAR[version]), Side.ACCESS), (from_to(source, str(at.dynamic)), Side.UPSTREAM)):
        assert reason(packet)
        assert not leaves(engine, packet, side)


@pytest.mark.parametrize("destination", NEVER_DESTINATIONS)
def test_these_destinations_are_behind_no_router(engine: KernelEngine, destination: str) -> None:
    version = ip_address(destination).version
    at = IPV4 if version == 4 else IPV6
    packet = from_to(str(at.dynamic), destination)
    assert reason(packet)
    assert not leaves(engine, packet, Side.ACCESS)


@pytest.mark.parametrize("address", ORDINARY)
def test_all_others_are_forwarded(engine: KernelEngine, address: str) -> None:
    version = ip_address(address).version
    at = IPV4 if version == 4 else IPV6
    for packet, side in (
        (from_to(address, str(at.dynamic)), Side.UPSTREAM),
        (from_to(address, FAR[version]), Side.ACCESS),
        (from_to(str(at.dynamic), address), Side.ACCESS),
        (from_to(FAR[version], address), Side.UPSTREAM),
    ):
        assert not reason(packet)
        assert leaves(engine, packet, side)


def test_the_unspecified_address_is_a_destination_to_linux(engine: KernelEngine) -> None:
    """RFC 4291 section 2.5.2 has no router forward it; ip6_forward does not ask."""
    packet = from_to(FAR[6], "::")
    assert not reason(packet)
    assert leaves(engine, packet, Side.UPSTREAM)


@pytest.mark.parametrize(
    ("source", "destination"), [("fe80::1", "fe80::2"), ("::", "2001:db8:f::9"), ("2001:db8:f::9", "fe80::2")]
)
def test_what_neighbours_say_to_each_other_does_not_come_back_to_their_link(source: str, destination: str) -> None:
    packet = from_to(source, destination)
    assert reason(packet)
    with KernelEngine(table_of([]), SITE, clock=lambda: NOW) as engine:
        assert not leaves(engine, packet, Side.ACCESS)
        assert not leaves(engine, packet, Side.UPSTREAM)
