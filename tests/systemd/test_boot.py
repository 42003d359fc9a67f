"""From power on: the policy is in force before the machine forwards its first packet, whatever the files are like."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import pytest

from edged.lab.topology import Topology
from tests.netns.probe.probe import FAMILIES, Probe, Result
from tests.promises import Measured
from tests.systemd.disk import NETWORK, Disk
from tests.systemd.machine import Machine

pytestmark = pytest.mark.timeout(900)  # the first run makes the Debian root

ROUNDS = 4 if os.environ.get("EDGED_PROFILE") == "long" else 1
AFTER = 1.0  # seconds of probing with all of it up
SETTLED = 500  # SYNs at the end of which none may be missing
OP25B = "/etc/edged/rules.d/20-op25b.yaml"


class Boot(NamedTuple):
    """What a boot came to; moments in seconds."""

    probed: Result
    lead: float  # from READY to the start of what brings the interfaces up
    running: str
    rules: str


@pytest.mark.promise(16)
def test_rules_before_packets_also_where_the_files_are_wrong(disk: Disk, measured: Measured) -> None:
    boots = []
    for _ in range(ROUNDS):
        boots.append(boot(disk))
        disk.write(OP25B, "mode: enforce", "mode: enforced")
        boots.append(boot(disk))
        disk.write(OP25B, "mode: enforced", "mode: enforce")
    assert [made.running for made in boots] == ["files", "last good"] * ROUNDS
    for made in boots:
        for family in FAMILIES:
            assert made.probed.leaked(family) == []
            arrived = made.probed.arrived[family].permitted
            assert arrived[0] > 100, "the interfaces were up before the boot"
            assert set(range(made.probed.sent - SETTLED, made.probed.sent)) <= set(arrived), "the network did not come up"
        assert made.lead >= 0
        assert made.rules == boots[0].rules != ""
    lead = min(made.lead for made in boots)
    measured(
        f"0 of {sum(made.probed.sent for made in boots)} SYNs a family leaked over {len(boots)} boots, "
        f"every second one by the last good configuration; READY at least {lead * 1000:.0f} ms before the interfaces came up"
    )


def boot(disk: Disk) -> Boot:
    """Probe from before power on until the network has been up for a while."""
    with Topology() as topology:
        machine = Machine(disk, topology)
        machine.take_down()
        know_the_gateway(topology)
        with Probe(topology, 1) as probe, machine:
            machine.await_network()
            # the kernel stops a device for a moment when caps' tree takes the place of its qdisc (sch_api.c: qdisc_graft)
            machine.await_shaped()
            time.sleep(AFTER)
            result = probe.result()
            lead = machine.moment("ExecMainStart", NETWORK) - machine.moment("ActiveEnter")
            return Boot(result, lead, machine.status()["configuration"]["running"], machine.rules())


def know_the_gateway(topology: Topology) -> None:
    """The subscriber need not ask who the gateway is, so that its packets are there from the first moment on."""
    lladdr = topology.gateway.run(["cat", "/sys/class/net/lan0/address"], check=True).stdout.strip()
    for family in FAMILIES:
        neighbour = ["ip", "neighbour", "replace", topology.gateway.address(family), "lladdr", lladdr]
        topology.dynamic.run([*neighbour, "dev", "eth0", "nud", "permanent"], check=True)
