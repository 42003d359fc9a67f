"""From power on: the policy is in force before the machine forwards its first packet, whatever the files are like."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest

from edged.lab.topology import Topology
from tests.netns.probe.probe import FAMILIES, Probe, Result
from tests.promises import Measured
from tests.systemd.disk import NETWORK, Disk
from tests.systemd.machine import Machine

pytestmark = pytest.mark.timeout(900)  # the first run makes the Debian root

AFTER = 1.0  # seconds of probing with the network up
OP25B = "/etc/edged/rules.d/20-op25b.yaml"


class Boot(NamedTuple):
    """What a boot came to; moments in seconds."""

    probed: Result
    lead: float  # from READY to the start of what brings the interfaces up
    running: str
    table: str


@pytest.mark.promise(16)
def test_rules_before_packets_also_where_the_files_are_wrong(disk: Disk, measured: Measured) -> None:
    boots = [boot(disk)]
    disk.write(OP25B, "mode: enforce", "mode: enforced")
    boots.append(boot(disk))
    disk.write(OP25B, "mode: enforced", "mode: enforce")
    for made in boots:
        for family in FAMILIES:
            assert made.probed.leaked(family) == []
            arrived = made.probed.arrived[family].permitted
            assert len(arrived) > AFTER * 1000 / 2, "the network never came up"
            assert arrived[0] > 100, "it was up before the boot"
            assert arrived == list(range(arrived[0], arrived[0] + len(arrived))), "permitted SYNs were lost"
        assert made.lead >= 0
        measured(
            f"{made.running}: 0 of {made.probed.sent} SYNs a family leaked over the boot, READY {made.lead * 1000:.0f} ms before the network"
        )
    assert [made.running for made in boots] == ["files", "last good"]
    assert boots[0].table == boots[1].table != ""


def boot(disk: Disk) -> Boot:
    """Probe from before power on until the network has been up for a while."""
    with Topology() as topology:
        machine = Machine(disk, topology)
        machine.take_down()
        with Probe(topology, 1) as probe, machine:
            machine.await_network()
            time.sleep(AFTER)
            result = probe.result()
            lead = machine.moment("ExecMainStart", NETWORK) - machine.moment("ActiveEnter")
            return Boot(result, lead, machine.status()["configuration"]["running"], machine.rules())
