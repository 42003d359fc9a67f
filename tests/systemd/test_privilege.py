"""What the service may do, and that this is enough for all of it: rules, queues, inspectors, shaping, reload, stop."""

from __future__ import annotations

import re

import pytest

from edged.addresses import Family
from tests.netns.bulk import transfers
from tests.netns.caps.held import PEER_HANDSHAKE
from tests.promises import Measured
from tests.systemd.machine import Machine

pytestmark = pytest.mark.timeout(900)  # the first run makes the Debian root

NET_ADMIN = 1 << 12  # linux/capability.h
DROP_IN = "/etc/systemd/system/edged.service.d/strict.conf"
# two that are refused as shipped, and whose refusal is expected: OpenBLAS places memory, an inspector gives up a capability set
# that no-new-privileges has made worthless already
STRICT = "[Service]\nSystemCallFilter=mbind capset\nSystemCallErrorNumber=kill\nRestart=no\n"


HELD = {"class": "p2p", "shaped": 2, "policed": 0}


def hold_peers(machine: Machine) -> None:
    """Heavy peer-to-peer flows of both families and directions are recognised by the inspector, and held by tc."""
    at = machine.topology
    machine.await_shaped()
    with transfers([((at.web, at.dynamic), Family.IPV4), ((at.dynamic, at.web), Family.IPV6)], PEER_HANDSHAKE):
        machine.await_(lambda: HELD in machine.status()["caps"]["capped"])


@pytest.mark.promise(18)
def test_cap_net_admin_alone(machine: Machine, measured: Measured) -> None:
    hold_peers(machine)
    judged = machine.run(["systemd-analyze", "security", "--no-pager", "edged"]).stdout
    exposure = re.search(r"Overall exposure level for edged.service: (\d+\.\d)", judged)
    assert exposure is not None, judged
    assert float(exposure[1]) <= 1.7
    processes = machine.processes()
    assert len(processes) == 2, "the daemon and its inspector"
    for pid, status in processes.items():
        sets = {name: int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
        # what it starts may have the capability, an inspector starts nothing
        ambient = NET_ADMIN if pid == machine.main_pid else 0
        assert sets == {"Inh": NET_ADMIN, "Prm": NET_ADMIN, "Eff": NET_ADMIN, "Bnd": NET_ADMIN, "Amb": ambient}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), "no new privileges, a filter of system calls"
        assert "0" not in status["Uid"].split() + status["Gid"].split()
    measured(f"systemd-analyze security {exposure[1]}; CAP_NET_ADMIN alone in {len(processes)} processes")


@pytest.mark.promise(18)
def test_the_filter_refuses_nothing_that_is_needed(machine: Machine, measured: Measured) -> None:
    """As shipped a refused call fails, and may fail unseen; here it ends the process."""
    drop_in = machine.disk.path(DROP_IN)
    drop_in.parent.mkdir()
    drop_in.write_text(STRICT)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "restart", "edged"])
    hold_peers(machine)
    machine.run(["systemctl", "reload", "edged"])
    hold_peers(machine)
    assert [queue["restarts"] for queue in machine.status()["caps"]["queues"]] == [0]
    machine.run(["systemctl", "stop", "edged"])
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")
    # systemd before 254 does not know this key, and ignores it
    complaints = machine.journal("--priority=warning").splitlines()
    assert [line for line in complaints if "FileDescriptorStorePreserve" not in line] == []
    measured("no system call refused at start, inspection, shaping, reload and stop, and no warning in the journal")
