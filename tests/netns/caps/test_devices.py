"""The gateway's devices under the daemon: one that goes and comes back, and one that has another program's qdisc."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from edged.addresses import Family
from edged.lab.topology import GATEWAY_LAN, POOLS, Host, Topology
from edged.ruleset.nodes import Direction
from tests.netns.bulk import Way, transfers
from tests.netns.caps.gateway import CapsGateway, Plan, Settings, caps_gateway
from tests.netns.caps.held import PEER_HANDSHAKE, arrivals, is_leased, is_policed, megabits_once_heavy
from tests.netns.daemon_process import eventually

RATE = 10
SETTINGS = Settings([Plan("ten", RATE * 1000, RATE * 1000)])
FOREIGN = (
    "qdisc replace dev wan0 root handle 77: htb",
    "class add dev wan0 parent 77: classid 77:5 htb rate 10gbit quantum 60000",
)
SECONDS = 1.5
SAID = "wan0 has a root qdisc that is not edged's (htb); it stays as it is"
REPAIRED = 5.0  # seconds in which the daemon has seen what became of a device


def measure(gateway: CapsGateway, direction: Direction, subscriber: int) -> float:
    """What a heavy flow of the subscriber is held to."""
    host, web = gateway.subscribers[subscriber].host, gateway.topology.web
    way: Way = ((web, host) if direction is Direction.DOWN else (host, web), Family.IPV4)
    with arrivals([way]) as arrived, transfers([way], PEER_HANDSHAKE):
        return megabits_once_heavy(arrived, SECONDS)[0]


def foreign_classes(gateway: CapsGateway) -> str:
    """What is below the root of the other program."""
    return gateway.topology.gateway.run(["tc", "class", "show", "dev", "wan0", "parent", "77:"], check=True).stdout


@pytest.fixture
def gateway() -> Iterator[CapsGateway]:
    with caps_gateway(SETTINGS, ["ten"] * 2) as made:
        made.limit_segments(8)
        yield made


def test_an_access_device_that_comes_back_is_set_up_again(gateway: CapsGateway) -> None:
    """Its tree is made anew, and who is heavy behind it is held again."""
    before = measure(gateway, Direction.DOWN, 0)
    gateway.topology.gateway.run(["ip", "link", "delete", "lan0"], check=True)
    time.sleep(0.5)
    assert gateway.daemon.process.poll() is None
    plug_in(gateway.topology)
    took = eventually(lambda: gateway.is_shaped("lan0"), REPAIRED)
    # one whose lease is from before, and one who was never heavy
    after = [measure(gateway, Direction.DOWN, each) for each in (0, 1)]
    print(f"{before:.2f} before, the tree {took:.1f} s after the device, then {after[0]:.2f} and {after[1]:.2f} of {RATE}")
    for got in (before, *after):
        assert is_leased(got, RATE)


def test_a_foreign_root_is_never_replaced(gateway: CapsGateway) -> None:
    """Not where it comes in place of edged's tree, and not where it was first; its direction is policed, and edged says so."""
    for command in FOREIGN:
        gateway.topology.gateway.run(["tc", *command.split()], check=True)
    eventually(lambda: SAID in gateway.daemon.log(), REPAIRED)
    foreign = foreign_classes(gateway)
    held = measure(gateway, Direction.UP, 0)
    assert gateway.daemon.stop() == 0
    gateway.start(shaped=["lan0"])
    eventually(lambda: SAID in gateway.daemon.log(), REPAIRED)
    down = measure(gateway, Direction.DOWN, 1)
    print(f"up {held:.2f}, down {down:.2f} of {RATE}")
    assert "class htb 77:5" in foreign
    assert foreign_classes(gateway) == foreign
    assert is_policed(held, RATE, SECONDS)
    assert is_leased(down, RATE)
    # and once the other program has taken its tree away
    gateway.topology.gateway.run(["tc", "qdisc", "delete", "dev", "wan0", "root"], check=True)
    eventually(lambda: gateway.is_shaped("wan0"), REPAIRED)
    assert is_leased(measure(gateway, Direction.UP, 0), RATE)


def plug_in(topology: Topology) -> None:
    """Make lan0 again, with what the gateway and the access network had on it (edged/lab/topology.py)."""
    gateway, access = topology.gateway, replace(topology.gateway, netns=f"{topology.name}-access")
    pools = [f"route add {pool} dev lan0" for pool in POOLS]
    addresses = [f"address add {GATEWAY_LAN[0]}/32 dev lan0", f"address add {GATEWAY_LAN[1]}/64 dev lan0 nodad"]
    made = f"link add to-gw type veth peer name lan0 netns {gateway.netns}"
    _batch(access, [made, "link set to-gw master access0 up"])
    _batch(gateway, ["link set lan0 up", *addresses, *pools])
    for subscriber in (topology.dynamic, topology.static):
        _batch(subscriber, ["neigh flush all"])  # the gateway has another hardware address


def _batch(host: Host, commands: Sequence[str]) -> None:
    host.run(["ip", "-batch", "-"], stdin="\n".join(commands) + "\n", check=True)
