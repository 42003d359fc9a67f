"""Caps by real flows through the throw-away gateway, without the control loop: who is remembered, shaped, limited, and who not.

A foreign table answers as an inspector would, by the packet's mark: what has port 7001 is p2p, what has port 7002 is nothing.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from edged.addresses import Address, Family, span
from edged.enforce import enforce
from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Host, Topology
from edged.marks import FlowClass, MarkFields
from edged.policies import Caps, Site
from edged.policies.base import Mode
from edged.policies.capping import QUEUED_PACKETS
from edged.ruleset.plan import Desired, Plan
from tests.gateway import CLASSES, SITE, make, prefixes, table_of
from tests.netns.differential.netfilter import NETLINK_NETFILTER, connections
from tests.netns.topology import INET

FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)
P2P, NOTHING, UNSEEN = 7001, 7002, 7003  # UDP ports
FOREIGN = 0x5A00005A
SIZE = 1000  # bytes of payload
P2P_ONLY = {"p2p": CLASSES["p2p"] | {"after": "20kB"}}
BULK_ONLY = {"bulk": CLASSES["bulk"] | {"after": "20kB"}}
NUMBER = {Family.IPV4: "4", Family.IPV6: "6"}

INSPECTOR = f"""
table inet inspector {{
  chain answer {{
    type filter hook forward priority 11
    udp sport {P2P} meta mark set {FOREIGN | 0x00090000:#x}
    udp dport {P2P} meta mark set {FOREIGN | 0x00090000:#x}
    udp sport {NOTHING} meta mark set {FOREIGN | 0x00080000:#x}
  }}
}}
"""


@contextmanager
def capped(topology: Topology, site: Site = SITE, **settings: object) -> Iterator[LinuxKernel]:
    """Caps alone in force in the gateway, and an inspector that answers at once."""
    nft(topology, INSPECTOR)
    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        hold(kernel, site, **settings)
        yield kernel


def hold(kernel: LinuxKernel, site: Site = SITE, **settings: object) -> Plan:
    table = table_of([make(Caps, **settings)], site, int(time.time()))
    return enforce(kernel, Desired(table, queue=kernel.capabilities().queue), time.time).plan


def nft(topology: Topology, script: str) -> str:
    done = topology.gateway.run(["nft", "-f", "-"], stdin=script)
    assert not done.returncode, done.stderr
    return done.stdout


def elements(topology: Topology, name: str) -> list[Address]:
    """The keys that a set or a map holds."""
    kind = "set" if name.startswith("heavy") else "map"
    listed = json.loads(topology.gateway.run(["nft", "-j", "list", kind, "inet", "edged", name], check=True).stdout)
    found = next(each[kind] for each in listed["nftables"] if kind in each).get("elem", [])
    keys = (each[0] if isinstance(each, list) else each for each in found)
    return sorted(ip_address(key["elem"]["val"] if isinstance(key, dict) else key) for key in keys)


def key_of(host: Host, family: Family) -> Address:
    """The subscriber as sets and maps know it."""
    address = host.address(family)
    return address if family is Family.IPV4 else ip_network((address, 64), strict=False)[0]


def send(sender: Host, receiver: Host, family: Family, port: int, count: int) -> int:
    """One flow's datagrams, all at once; how many came."""
    with (
        receiver.socket(INET[family], socket.SOCK_DGRAM) as inbox,
        sender.socket(INET[family], socket.SOCK_DGRAM) as outbox,
    ):
        inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        inbox.bind((str(receiver.address(family)), port))
        outbox.bind((str(sender.address(family)), port))
        for _ in range(count):
            outbox.sendto(bytes(SIZE), (str(receiver.address(family)), port))
        came = 0
        inbox.settimeout(0.5)
        try:
            while came < count:
                inbox.recv(2048)
                came += 1
        except TimeoutError:
            pass
        return came


def counted(kernel: LinuxKernel) -> Mapping[str, int]:
    """What was held, or would have been."""
    queued = QUEUED_PACKETS.name
    return {name: value.packets for name, value in kernel.counters().items() if value.packets and name != queued}


def marks(topology: Topology) -> set[int]:
    with topology.gateway.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as asked:
        return set(connections(asked).values())


@FAMILIES
def test_a_heavy_flow_of_a_class_is_remembered_and_nobody_else(topology: Topology, family: Family) -> None:
    number = NUMBER[family]
    with capped(topology, classes=P2P_ONLY) as kernel:
        assert send(topology.web, topology.dynamic, family, P2P, 15) == 15
        assert elements(topology, f"heavy_down_p2p{number}") == [], "it has not moved enough"
        assert send(topology.web, topology.static, family, NOTHING, 60) == 60
        assert send(topology.web, topology.open_resolver, family, UNSEEN, 60) == 60
        assert send(topology.web, topology.dynamic, family, P2P, 15) == 15
        assert elements(topology, f"heavy_down_p2p{number}") == [key_of(topology.dynamic, family)]
        assert elements(topology, f"heavy_up_p2p{number}") == []
        assert send(topology.dynamic, topology.web, family, P2P, 1) == 1
        assert elements(topology, f"heavy_up_p2p{number}") == [key_of(topology.dynamic, family)]
        assert not counted(kernel)
        fields = MarkFields()
        assert {(fields.class_in(mark), mark & fields.inspected != 0) for mark in marks(topology)} == {
            (FlowClass.P2P, True), (FlowClass.NONE, True), (FlowClass.NONE, False)
        }  # fmt: skip
        assert not {mark & FOREIGN for mark in marks(topology)} - {0}, "what is not edged's in the packet's mark stays there"


@FAMILIES
def test_who_was_remembered_is_forgotten_when_the_flow_ends(topology: Topology, family: Family) -> None:
    with capped(topology, classes=P2P_ONLY):
        send(topology.web, topology.dynamic, family, P2P, 30)
        assert elements(topology, f"heavy_down_p2p{NUMBER[family]}")
        time.sleep(5.2)
        assert elements(topology, f"heavy_down_p2p{NUMBER[family]}") == []


@FAMILIES
def test_under_a_lease_heavy_packets_alone_take_the_class(topology: Topology, family: Family) -> None:
    for command in (
        "qdisc add dev lan0 root handle 1: htb",
        "class add dev lan0 parent 1: classid 1:1 htb rate 10gbit quantum 200000",
        "class add dev lan0 parent 1:1 classid 1:2 htb rate 500mbit quantum 60000",
    ):
        topology.gateway.run(["tc", *command.split()], check=True)
    name = f"lease_down_p2p{NUMBER[family]}"
    with capped(topology, classes=P2P_ONLY) as kernel:
        nft(topology, f"add element inet edged {name} {{ {key_of(topology.dynamic, family)} : 1:2 }}")
        send(topology.web, topology.dynamic, family, P2P, 30)
        send(topology.web, topology.static, family, P2P, 30)
        send(topology.web, topology.dynamic, family, UNSEEN, 30)
        ipv6_header, ipv4_header = 48, 28
        light = 20_000 // (SIZE + (ipv4_header if family is Family.IPV4 else ipv6_header))
        heavy = 30 - light
        assert not counted(kernel)
        shown = topology.gateway.run(["tc", "-s", "class", "show", "dev", "lan0", "classid", "1:2"], check=True).stdout
        assert re.search(rf"Sent \d+ bytes {heavy} pkt", shown), shown
        assert elements(topology, f"heavy_down_p2p{NUMBER[family]}") == ([key_of(topology.static, family)]), (
            "who has a lease wants none"
        )


@FAMILIES
def test_beyond_a_limit_heavy_packets_are_dropped_and_counted(topology: Topology, family: Family) -> None:
    key = key_of(topology.dynamic, family)
    with capped(topology, classes=P2P_ONLY) as kernel:
        nft(topology, "add limit inet edged one { rate over 1 kbytes/second burst 5 kbytes }")
        nft(topology, f'add element inet edged police_down_p2p{NUMBER[family]} {{ {key} : "one" }}')
        assert send(topology.web, topology.dynamic, family, P2P, 15) == 15
        came = send(topology.web, topology.dynamic, family, P2P, 60)
        assert 5 <= came <= 15, "what was left of `after`, and the burst"
        assert counted(kernel) == {f"caps_down_p2p_{family.value}_drop": 60 - came}
        assert send(topology.web, topology.static, family, P2P, 60) == 60, "another subscriber has no limit"
        assert send(topology.web, topology.dynamic, family, UNSEEN, 60) == 60, "nor has another flow"


@FAMILIES
def test_a_never_block_far_end_is_never_held(topology: Topology, family: Family) -> None:
    site = replace(SITE, never_block=prefixes(str(topology.web.ipv4), str(topology.web.ipv6)))
    key = key_of(topology.dynamic, family)
    with capped(topology, site, classes=P2P_ONLY) as kernel:
        nft(topology, "add limit inet edged one { rate over 1 kbytes/second burst 5 kbytes }")
        nft(topology, f'add element inet edged police_down_p2p{NUMBER[family]} {{ {key} : "one" }}')
        assert send(topology.web, topology.dynamic, family, P2P, 60) == 60
        assert elements(topology, f"heavy_down_p2p{NUMBER[family]}") == []
        assert not counted(kernel)


@FAMILIES
def test_observe_marks_and_counts_and_holds_nothing(topology: Topology, family: Family) -> None:
    with capped(topology, classes=P2P_ONLY, mode=Mode.OBSERVE) as kernel:
        assert send(topology.web, topology.dynamic, family, P2P, 60) == 60
        assert set(counted(kernel)) == {f"caps_down_p2p_{family.value}_observe"}
        assert not [name for name in kernel.observe().table.sets if not name.startswith("caps_")]  # type: ignore[union-attr]


@FAMILIES
def test_a_flow_of_no_class_that_moved_much_becomes_a_candidate(topology: Topology, family: Family) -> None:
    with capped(topology, classes=BULK_ONLY):
        send(topology.web, topology.dynamic, family, UNSEEN, 15)
        assert marks(topology) == {0}
        send(topology.web, topology.dynamic, family, UNSEEN, 15)
        assert set(marks(topology)) == {MarkFields().heavy}
        assert elements(topology, f"heavy_down_bulk{NUMBER[family]}") == [], "whether it lasts is still to be measured"


@FAMILIES
@pytest.mark.parametrize(("own", "heavy"), [("off", False), ({"after": "200kB"}, False), ({"after": "5kB"}, True)], ids=str)
def test_a_plan_has_its_own_volume_or_none(topology: Topology, family: Family, own: object, heavy: bool) -> None:
    address = topology.dynamic.address(family)
    member = {family: (span(ip_network(address)),)}
    site = replace(SITE, plans={"own": member})
    with capped(topology, site, classes=P2P_ONLY, plans={"own": {"p2p": own}}):
        send(topology.web, topology.dynamic, family, P2P, 15 if heavy else 60)
        assert elements(topology, f"heavy_down_p2p{NUMBER[family]}") == ([key_of(topology.dynamic, family)] if heavy else [])
        send(topology.web, topology.static, family, P2P, 30)
        assert key_of(topology.static, family) in elements(topology, f"heavy_down_p2p{NUMBER[family]}")


def test_a_lease_stays_over_every_change_of_the_rules(topology: Topology) -> None:
    with capped(topology, classes=P2P_ONLY) as kernel:
        nft(topology, "add element inet edged lease_down_p2p4 { 203.0.113.10 timeout 1h : 1:2 }")
        nft(topology, "add limit inet edged one { rate over 1 kbytes/second }")
        nft(topology, 'add element inet edged police_up_p2p4 { 203.0.113.10 : "one" }')
        for changed in (
            {"classes": {"p2p": CLASSES["p2p"]}},
            {"classes": CLASSES, "queues": 3},
            {"classes": P2P_ONLY, "plans": {"own": {"p2p": "off"}}, "pools": ["static"]},
        ):
            assert hold(kernel, replace(SITE, plans={"own": {Family.IPV4: (span(ip_network("203.0.113.9")),)}}), **changed)
            assert elements(topology, "lease_down_p2p4") == elements(topology, "police_up_p2p4") == [ip_address("203.0.113.10")]


def test_the_rules_have_connections_counted(topology: Topology) -> None:
    """The kernel does it by itself (nft_ct_get_init): the daemon may not write sysctls."""
    switch = "/proc/sys/net/netfilter/nf_conntrack_acct"
    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        kernel.capabilities()
        assert topology.gateway.run(["cat", switch]).stdout == "0\n", "asking changes nothing"
        hold(kernel, classes=P2P_ONLY)
        assert topology.gateway.run(["cat", switch]).stdout == "1\n"
