"""The service's life on a machine as it is: installed, ready, stopped, torn down, removed, and nothing of it left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edged.lab.topology import Topology
from tests.promises import Measured
from tests.systemd.disk import NETWORK, Disk
from tests.systemd.machine import DEVICES, Machine

pytestmark = pytest.mark.timeout(900)  # the first run makes the Debian root

THEIRS = "table ip theirs { chain forward { type filter hook forward priority 10; ip daddr 198.18.0.1 drop; }; }"
INSTALLED = ("/etc", "/usr/local/bin")
KEPT = ("/etc/edged/", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/.pwd.lock")  # and the user


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine that has the wheel, and no service yet."""
    with Disk() as disk, Topology() as topology, Machine(disk, topology) as booted:
        booted.await_active(NETWORK)
        yield booted


@contextmanager
def somebody_owns_our_table(machine: Machine) -> Iterator[None]:
    """Another program has a table of our name, and it cannot be changed as long as that program runs."""
    owner = machine.popen(["nft", "--interactive"])
    assert owner.stdin is not None
    owner.stdin.write("add table inet edged { flags owner; }\n")
    owner.stdin.flush()
    machine.await_(lambda: "flags owner" in machine.topology.gateway.run(["nft", "list", "ruleset"]).stdout)
    try:
        yield
    finally:
        owner.communicate("quit\n", timeout=10)


def seen(machine: Machine) -> dict[str, str]:
    """All that edged may change in the kernel, as nft and tc print it."""
    gateway = machine.topology.gateway
    words = [
        ["nft", "-a", "list", "ruleset"],
        *(["tc", what, "show", "dev", device] for what in ("qdisc", "class", "filter") for device in DEVICES),
    ]
    return {" ".join(argv): gateway.run(argv, check=True).stdout for argv in words}


def files(machine: Machine) -> dict[str, int]:
    """The files where an installation puts some, and when each was changed, but for what is said to stay."""
    found = machine.run(["find", *INSTALLED, "!", "-type", "d"]).stdout.split()
    return {name: machine.disk.path(name).lstat().st_mtime_ns for name in found if not name.startswith(KEPT)}


@pytest.mark.promise(17)
def test_stop_keeps_the_rules_and_teardown_and_remove_leave_nothing(machine: Machine, measured: Measured) -> None:
    machine.topology.gateway.run(["nft", THEIRS], check=True)
    bare, bare_files = seen(machine), files(machine)
    install = machine.disk.install
    assert "ready, not started" in machine.run([install]).stdout
    assert "wrote" not in machine.run([install]).stdout, "a second time there is nothing to write"
    assert seen(machine) == bare

    with somebody_owns_our_table(machine):
        machine.run(["systemctl", "enable", "edged"])
        machine.run(["systemctl", "start", "--no-block", "edged"])
        machine.await_(lambda: int(machine.show("NRestarts")) >= 2)
        assert machine.moment("ActiveEnter") == 0, "it was READY without its policy"
        assert "belongs to another running process" in machine.journal()
    machine.await_active()
    machine.await_shaped()
    rules = machine.rules()
    assert "op25b_up" in rules
    refused = machine.run([install, "--remove"], check=False)
    assert (refused.returncode, "the service runs" in refused.stderr) == (1, True)

    machine.run(["systemctl", "stop", "edged"])
    assert machine.processes() == {}
    assert machine.rules() == rules, "stop removed the policy"
    machine.run(["systemctl", "start", "edged"])
    assert machine.rules() == rules
    machine.run(["systemctl", "disable", "--now", "edged"])
    machine.run(["edged", "teardown"])
    assert seen(machine) == bare
    machine.run([install, "--remove"])
    assert files(machine) == bare_files
    assert machine.show("LoadState") == "not-found"
    measured("under systemd: stop keeps the rules; after teardown nft and tc print what they did before edged, byte by byte")
