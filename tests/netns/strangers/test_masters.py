"""An interface of the files is put into a bridge: its packets have the bridge's name then, and status says what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from edged.addresses import Family
from edged.lab.topology import GATEWAY_WAN, Topology
from tests.netns.daemon_process import Daemon, eventually
from tests.netns.topology import INET

BRIDGED = [
    "link add br9 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
    "link set wan0 master br9",
    "address flush dev wan0",
    "link set br9 up",
    f"address add {GATEWAY_WAN[0]}/24 dev br9",
    f"address add {GATEWAY_WAN[1]}/64 dev br9 nodad",
]


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_a_member_of_a_bridge_is_told_and_its_bridge_is_what_policies_see(topology: Topology, daemon: Daemon) -> None:
    assert stopped(topology, daemon)
    daemon.host.run(["ip", "-batch", "-"], stdin="\n".join(BRIDGED) + "\n", check=True)
    eventually(lambda: told(daemon) == ["it is a member of br9, whose name forwarded packets have in its place"])
    assert not stopped(topology, daemon)
    daemon.write("edged.yaml", "upstream: [wan0]", "upstream: [br9]")
    daemon.client.reload()
    eventually(lambda: not told(daemon))
    assert stopped(topology, daemon)


def told(daemon: Daemon) -> list[str]:
    return [each["why"] for each in daemon.client.status()["degraded"]]


def stopped(topology: Topology, daemon: Daemon) -> bool:
    """Whether the policy stops mail of a dynamic address, in both families."""

    def counted() -> int:
        policies = daemon.client.status()["policies"]
        return sum(each["packets"] for policy in policies if policy["policy"] == "op25b" for each in policy["counters"])

    before = counted()
    for family in Family:
        with topology.dynamic.socket(INET[family], socket.SOCK_STREAM) as client, suppress(OSError):  # refused by either side
            client.settimeout(3)
            client.connect((str(topology.foreign_mail.address(family)), 25))
    return counted() == before + len(Family)
