"""What takes packets past the rules is found in the real kernel, whoever put it there and however, and nothing else is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing

import pytest

from edged.errors import ExitCode
from edged.kernel.bypasses import Bypass, bypasses
from edged.kernel.ethtool import active_features
from edged.kernel.foreignrules import ForeignRules
from edged.kernel.linux import LinuxKernel
from edged.kernel.namespace import inside
from edged.lab.topology import Topology
from tests.netns.daemon_process import Daemon, eventually
from tests.netns.xdp import CannotLoad, xdp
from tests.tiers import require

OURS = ("lan0", "wan*")
REDIRECT = "u32 match u32 0 0 action mirred egress redirect dev"


@pytest.fixture
def found(topology: Topology) -> Callable[[], tuple[Bypass, ...]]:
    """Looks in the gateway's namespace."""

    def look() -> tuple[Bypass, ...]:
        with closing(LinuxKernel()) as kernel:
            return bypasses(kernel, OURS)

    return lambda: inside(topology.gateway.netns, look)


def tc(topology: Topology, *arguments: str) -> None:
    for line in arguments:
        topology.gateway.run(["tc", *line.split()], check=True)


def test_a_gateway_as_it_should_be_has_none(topology: Topology, found: Callable[[], tuple[Bypass, ...]]) -> None:
    assert found() == ()
    tc(topology, "qdisc add dev lan0 clsact", "filter add dev lan0 egress protocol ip u32 match u32 0 0")
    topology.gateway.run(["nft", "add table netdev theirs"], check=True)
    topology.gateway.run(["nft", "add chain netdev theirs in { type filter hook ingress device lan0 priority 0; }"], check=True)
    topology.gateway.run(["nft", "add rule netdev theirs in counter accept"], check=True)
    assert found() == (), "filters and rules that send nothing elsewhere bypass nothing"


def test_tc_filters_that_send_packets_elsewhere(topology: Topology, found: Callable[[], tuple[Bypass, ...]]) -> None:
    tc(topology, "qdisc add dev lan0 ingress", f"filter add dev lan0 parent ffff: protocol ip {REDIRECT} wan0")
    (bypass,) = found()
    assert (bypass.what, bypass.why) == ("tc filters of lan0", "they send packets to wan0 ahead of every rule")
    tc(topology, "qdisc del dev lan0 ingress", "qdisc add dev wan0 clsact")
    tc(topology, "filter add dev wan0 ingress protocol ip u32 match u32 0 0 action mirred egress mirror dev lan0")
    assert found() == (), "a copy is not the packet"


def test_rules_that_forward_where_packets_come_in(topology: Topology, found: Callable[[], tuple[Bypass, ...]]) -> None:
    for line in (
        "add table netdev fast",
        "add chain netdev fast in { type filter hook ingress device wan0 priority 0; }",
        "add chain netdev fast onward",
        "add rule netdev fast in jump onward",
        "add rule netdev fast onward ip daddr 198.18.0.1 fwd to lan0",
    ):
        topology.gateway.run(["nft", line], check=True)
    assert [bypass.what for bypass in found()] == ["rules of netdev table fast"]


def test_an_interface_that_is_a_port_of_a_bridge(topology: Topology, found: Callable[[], tuple[Bypass, ...]]) -> None:
    """And that is so: on the way from a subscriber the rules hear of br9, which none is about."""
    gateway = topology.gateway
    for line in ("link add br9 type bridge", "link set lan0 master br9", "link set br9 up"):
        gateway.run(["ip", *line.split()], check=True)
    (bypass,) = found()
    assert bypass.what == "interface lan0"
    assert "port of bridge br9" in bypass.why


def test_an_xdp_program(topology: Topology, found: Callable[[], tuple[Bypass, ...]]) -> None:
    try:
        with xdp(topology.gateway.netns, "wan0"):
            (bypass,) = found()
            assert bypass.what.startswith("XDP program ")
            assert bypass.what.endswith(" on wan0 (generic)")
    except CannotLoad as error:
        require("netns", str(error))
    assert found() == ()


def test_the_daemon_tells_of_a_bypass_as_soon_as_it_is_there(topology: Topology) -> None:
    daemon = Daemon(topology.gateway)
    try:
        daemon.start()
        assert daemon.metrics()['edged_capability{feature="no_bypass"}'] == 1
        topology.gateway.run(["nft", "add table netdev fast"], check=True)
        topology.gateway.run(["nft", "add chain netdev fast in { type filter hook ingress device wan0 priority 0; }"], check=True)
        topology.gateway.run(["nft", "add rule netdev fast in ip daddr 198.18.0.1 fwd to lan0"], check=True)
        eventually(lambda: daemon.client.status()["degraded"])
        (degraded,) = daemon.client.status()["degraded"]
        assert degraded["what"] == "rules of netdev table fast"
        assert daemon.metrics()['edged_capability{feature="no_bypass"}'] == 0
        assert "rules of netdev table fast: what they forward" in daemon.log()
        done = topology.gateway.run([sys.executable, "-m", "edged", "doctor", "--json", "-c", daemon.config], timeout=60)
        assert done.returncode == ExitCode.DEGRADED
        (told,) = (each for each in json.loads(done.stdout)["findings"] if each["name"] == "rules of netdev table fast")
        assert (told["grade"], told["weakens"]) == ("missing", [12, 19])
        topology.gateway.run(["nft", "delete table netdev fast"], check=True)
        eventually(lambda: not daemon.client.status()["degraded"])
    finally:
        daemon.close()


def test_what_other_programs_rules_do_to_marks_queues_and_tracking(topology: Topology) -> None:
    gateway = topology.gateway
    for line in (
        "add table ip raw",
        "add chain ip raw pre { type filter hook prerouting priority raw; }",
        "add rule ip raw pre udp dport 5060 notrack",
        "add table inet qos",
        "add chain inet qos onward { type filter hook forward priority 5; }",
        "add rule inet qos onward meta mark set meta mark & 0xffffff00 | 0x00000003",
        "add rule inet qos onward ct mark set ct mark & 0xfffff0ff | 0x00000100",
        "add table ip6 whole",
        "add chain ip6 whole onward { type filter hook forward priority 5; }",
        "add rule ip6 whole onward ct mark set 0x1",
        "add table inet reads",
        "add chain inet reads onward { type filter hook forward priority 5; }",
        "add rule inet reads onward ct mark & 0xff00 == 0x100 meta mark 5 counter",
    ):
        gateway.run(["nft", line], check=True)
    with closing(LinuxKernel(gateway.netns)) as kernel:
        rules = kernel.foreign_rules()
    assert rules == (
        ForeignRules("inet qos", writes=0x00000FFF),
        ForeignRules("ip raw", untracks=True),
        ForeignRules("ip6 whole", writes=0xFFFFFFFF),
    )


def test_features_are_read_from_the_card_itself(topology: Topology) -> None:
    def look() -> frozenset[str]:
        return active_features("lan0")

    gateway = topology.gateway.netns
    assert "tx-checksum-ip-generic" in inside(gateway, look)
    assert inside(gateway, lambda: active_features("no-such-link")) == frozenset()
