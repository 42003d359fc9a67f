"""The throw-away gateway carries traffic in both families, judges nothing by itself, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.errors import EdgedError
from edged.lab import topology as made_of
from edged.lab.topology import Topology, remove_leftovers
from tests.netns.topology import deliver

FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)


def machine() -> str:
    """What the machine's own network looks like."""
    commands = (
        ["ip", "-d", "link"],
        ["ip", "address"],
        ["ip", "route"],
        ["ip", "-6", "route"],
        ["nft", "--stateless", "list", "ruleset"],
    )
    return "\n".join(subprocess.run(argv, capture_output=True, text=True, check=True).stdout for argv in commands)


def namespaces() -> list[str]:
    return [path.name for path in Path("/run/netns").glob(f"edged-{os.getpid()}*")]


def alive(pid: int) -> bool:
    """Whether it runs; a zombie that nobody has waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@FAMILIES
def test_every_host_reaches_every_other_through_the_gateway(shared_topology: Topology, family: Family) -> None:
    at = shared_topology
    pairs = [(at.dynamic, at.web), (at.static, at.own_mail), (at.resolver, at.dynamic), (at.outside, at.open_resolver)]
    for sender, receiver in [*pairs, (at.static, at.dynamic)]:
        assert deliver(sender, receiver, family) == str(sender.address(family))


@FAMILIES
def test_a_subscriber_reaches_another_only_through_the_gateway(topology: Topology, family: Family) -> None:
    topology.gateway.run(
        ["nft", "add table inet test; add chain inet test f { type filter hook forward priority 0; policy drop; }"]
    )
    assert deliver(topology.static, topology.dynamic, family, seconds=0.2) is None


@FAMILIES
def test_without_edged_a_forged_source_arrives(shared_topology: Topology, family: Family) -> None:
    """So that what edged's own policy drops is dropped by nothing else."""
    stranger = made_of.STRANGER[0 if family is Family.IPV4 else 1]
    at = shared_topology
    at.dynamic.run(["ip", "address", "add", f"{stranger}/{family.bits}", "dev", "lo"], check=True)
    forger = made_of.Host(at.dynamic.netns, *made_of.STRANGER)
    assert deliver(forger, at.web, family) == str(stranger)
    insider = made_of.Host(at.outside.netns, *made_of.STATIC)
    at.outside.run(["ip", "address", "add", f"{insider.address(family)}/{family.bits}", "dev", "lo"], check=True)
    assert deliver(insider, at.dynamic, family) == str(insider.address(family))


def test_the_machines_own_network_stays_as_it_was() -> None:
    before = machine()
    with Topology():
        assert machine() == before
    assert machine() == before


def test_nothing_is_left_after_it_and_processes_end_with_it() -> None:
    with Topology() as topology:
        process = topology.web.popen(["sleep", "100"])
        # one that nobody keeps a handle of, and that ignores being asked
        topology.dynamic.run(["sh", "-c", "trap '' TERM; sleep 100 >/dev/null 2>&1 & echo $!"], check=True)
        assert len([name for name in namespaces() if name.startswith(topology.name)]) == 5
    assert process.returncode == -signal.SIGTERM
    assert not [name for name in namespaces() if name.startswith(topology.name)]


def test_what_a_killed_run_left_is_removed_by_the_next() -> None:
    run = "import sys, time; from edged.lab.topology import Topology\nwith Topology() as t:\n"
    run += "    print(t.web.popen(['sleep', '100']).pid, flush=True); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        sleeper = int(killed.stdout.readline())
        left = Path(f"/run/netns/edged-{killed.pid}-gw")
        wait_until(lambda: Path(f"/proc/{sleeper}/comm").read_text() == "sleep\n")
        assert left.exists()
        remove_leftovers()
        assert left.exists(), "the run is still alive"
        killed.kill()
    wait_until(lambda: not alive(sleeper))
    remove_leftovers()
    assert not left.exists()


def test_what_cannot_be_built_says_so_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_of, "ROLES", ("gw", "access", "dynamic", "outside"))
    before = namespaces()
    with pytest.raises(EdgedError, match=r"could not be built in namespace edged-.*-access: .*edged-.*-static"), Topology():
        pass
    assert namespaces() == before
