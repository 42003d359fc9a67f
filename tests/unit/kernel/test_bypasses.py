"""What the kernel says of links, tc filters, rules and sockets: also what this machine's kernel cannot be made to say."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.kernel import ingress, linkstate, sockets
from edged.kernel.attrs import attribute, be32, nest, text
from edged.kernel.foreignrules import written
from edged.kernel.ingress import Filter
from edged.kernel.linkstate import Link, beneath, is_bundled, is_in_vrf, named
from edged.kernel.sockets import Connection
from edged.kernel.tcmessages import TCMSG
from edged.kernel.uapi import DATA_VALUE

INGRESS = TCMSG.pack(0, 3, 0, 0xFFFFFFF2, 0)
LINK = struct.pack("=BxHiII", 0, 1, 3, 0, 0)


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


# --- links ---


def test_a_plain_link() -> None:
    assert linkstate.decode(LINK + text(3, "lan0") + u32(5, 9)) == Link(3, "lan0"), "a veth's other end is not under it"


def test_a_vlan_lies_upon_another_link_where_that_is_in_this_namespace() -> None:
    body = LINK + text(3, "lan0.7") + u32(5, 9) + nest(18, text(1, "vlan"))
    assert linkstate.decode(body).lower == 9
    assert linkstate.decode(body + u32(37, 0)).lower == 0


def test_an_xdp_program_and_a_port() -> None:
    xdp = nest(43, attribute(2, b"\2"), u32(4, 17))
    found = linkstate.decode(LINK + text(3, "eth0") + u32(10, 8) + nest(18, text(1, "veth"), text(4, "bridge")) + xdp)
    assert (found.xdp_mode, found.xdp_program, found.master, found.port_of) == (2, 17, 8, "bridge")
    assert is_bundled(found)
    in_vrf = linkstate.decode(LINK + u32(10, 8) + nest(18, text(4, "vrf")))
    assert (is_bundled(in_vrf), is_in_vrf(in_vrf), is_in_vrf(found)) == (False, True, False)


def test_packets_are_looked_for_on_everything_that_they_come_in_by_first() -> None:
    card, other = Link(1, "eth0", master=3, port_of="bond"), Link(2, "eth1", master=3, port_of="bond")
    bond, vlan, stranger = Link(3, "bond0", "bond"), Link(4, "lan7", "vlan", lower=3), Link(5, "eth9")
    links = (card, other, bond, vlan, stranger)
    assert named(links, ("lan*",)) == (vlan,)
    assert set(beneath(links, (vlan,))) == {vlan, bond, card, other}


# --- tc ---


def mirred(what: int, link: int) -> bytes:
    return nest(1, text(1, "mirred"), nest(2, attribute(2, bytes(20) + struct.pack("=iI", what, link))))


@pytest.mark.parametrize(("classifier", "actions"), [("bpf", 1), ("matchall", 2), ("flower", 3), ("basic", 3), ("u32", 7)])
def test_a_redirect_by_any_classifier(classifier: str, actions: int) -> None:
    for what, redirects in ((1, (9,)), (2, ()), (3, (9,)), (4, ())):
        body = INGRESS + text(1, classifier) + nest(2, nest(actions, mirred(what, 9)))
        assert ingress.decode(body) == Filter(classifier, redirects)


@pytest.mark.parametrize(("classifier", "flags"), [("bpf", 9), ("matchall", 3), ("flower", 22), ("u32", 11)])
def test_a_filter_that_the_hardware_carries_out(classifier: str, flags: int) -> None:
    for value, in_hardware in ((1 << 2, True), (1 << 3, False)):  # TCA_CLS_FLAGS_IN_HW, _NOT_IN_HW
        assert ingress.decode(INGRESS + text(1, classifier) + nest(2, u32(flags, value))).in_hardware is in_hardware


@given(st.binary(max_size=120))
def test_nothing_that_comes_after_a_head_raises(garbage: bytes) -> None:
    ingress.decode(INGRESS + garbage)
    ingress.decode(INGRESS + text(1, "u32") + nest(2, nest(7, nest(1, text(1, "mirred"), garbage)), garbage))
    linkstate.decode(LINK + garbage)
    linkstate.decode(LINK + nest(18, garbage) + nest(43, garbage))
    sockets.decode(socket.IPPROTO_TCP, socket.AF_INET, bytes(72) + garbage)
    sockets.decode(socket.IPPROTO_TCP, socket.AF_INET6, bytes(72) + attribute(2, garbage))


# --- marks that rules write ---


def value(number: int) -> bytes:
    return attribute(DATA_VALUE, struct.pack("=I", number))


SETS = [("ct", {2: be32(0, 3)[4:], 4: b"\0\0\0\1"})]


@pytest.mark.parametrize(
    ("before", "bits"),
    [
        ([], 0xFFFFFFFF),
        ([("bitwise", {4: value(0xFFFFFF00), 5: value(0)})], 0xFF),
        ([("bitwise", {4: value(0xFFFF00FF), 5: value(0x100)})], 0xFF00),
        ([("bitwise", {4: value(0xFFFFFFFF), 5: value(0x80000)})], 0x80000),
    ],
)
def test_the_bits_that_a_rule_writes(before: list[tuple[str, dict[int, bytes]]], bits: int) -> None:
    assert written([*before, *SETS]) == bits
    assert written(before) == 0, "who only reads writes nothing"


def test_the_bits_that_xtables_targets_write() -> None:
    for name in ("MARK", "CONNMARK"):
        info = struct.pack("=II", 0x100, 0xF00) + bytes(8)
        assert written([("target", {1: name.encode() + b"\0", 3: info})]) == 0xF00


# --- sockets ---


def message(local: int, peer: str, port: int) -> bytes:
    packed = ip_address(peer).packed.ljust(16, b"\0")
    return struct.pack("!4xHH16s16s", local, port, bytes(16), packed).ljust(72, b"\0")


def test_a_connection_and_how_much_of_it_was_acknowledged() -> None:
    info = attribute(2, bytes(120) + struct.pack("=QQ", 29, 7) + bytes(100))
    tcp, inet, inet6 = socket.IPPROTO_TCP, socket.AF_INET, socket.AF_INET6
    assert sockets.decode(tcp, inet, message(179, "192.0.2.9", 40000) + info) == Connection(
        tcp, 179, ip_address("192.0.2.9"), 40000, 29
    )
    assert sockets.decode(tcp, inet6, message(179, "::ffff:192.0.2.9", 1)).peer == ip_address("192.0.2.9")
    assert sockets.decode(tcp, inet6, message(179, "2001:db8::9", 1)).peer == ip_address("2001:db8::9")
