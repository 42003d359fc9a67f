"""What the machine lives by, read from the real kernel: no list may name it."""

from __future__ import annotations

from ipaddress import ip_address

from edged.kernel.namespace import inside
from edged.kernel.reach import default_gateways, own_addresses
from edged.lab.topology import GATEWAY_LAN, GATEWAY_WAN, Topology


def test_own_addresses_are_those_of_every_interface(topology: Topology) -> None:
    topology.gateway.run(["ip", "address", "add", "198.18.0.1", "peer", "198.18.0.2/32", "dev", "wan0"], check=True)
    found = inside(topology.gateway.netns, own_addresses)
    assert {*GATEWAY_LAN, *GATEWAY_WAN, ip_address("127.0.0.1"), ip_address("::1")} <= set(found)
    assert ip_address("198.18.0.1") in found
    assert ip_address("198.18.0.2") not in found, "the other end of a point-to-point link is another machine"


def test_default_gateways_are_the_next_hops_of_both_families(topology: Topology) -> None:
    assert inside(topology.gateway.netns, default_gateways) == ()
    gateway = topology.gateway
    gateway.run(["ip", "route", "add", "default", "via", "192.0.2.200", "dev", "wan0"], check=True)
    hops = ["nexthop", "via", "2001:db8:a::200", "dev", "wan0", "nexthop", "via", "2001:db8:a::201", "dev", "wan0"]
    gateway.run(["ip", "-6", "route", "add", "default", *hops], check=True)
    found = inside(gateway.netns, default_gateways)
    assert set(found) == {ip_address(text) for text in ("192.0.2.200", "2001:db8:a::200", "2001:db8:a::201")}
