"""What edged leaves alone: all that is not its own, and everything where the files are wrong."""

from __future__ import annotations

import re
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from edged.cli.root import edged
from edged.enforce import enforce
from edged.errors import ExitCode
from edged.kernel.linux import LinuxKernel
from edged.kernel.namespace import inside
from edged.lab.topology import Topology
from edged.policies import POLICIES
from edged.ruleset.plan import Desired, Lock
from tests.broken.cases import broken_cases
from tests.gateway import make, table_of
from tests.netns.daemon_process import Daemon, eventually
from tests.netns.faults.files import Files
from tests.promises import Measured
from tests.tiers import require

FOREIGN = """
table inet theirs {
    set allowed { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1-192.0.2.9 }; }
    counter seen { }
    chain input { type filter hook input priority filter; policy accept; tcp dport 22 accept comment "ours, not edged's"; }
    chain edged { counter name "seen" return; }
}
table ip nat { chain post { type nat hook postrouting priority srcnat; oifname "wan0" ip saddr 10.0.0.0/8 masquerade; }; }
table ip6 edged { chain same_name_other_family { }; }
table netdev early { chain lan { type filter hook ingress device "lan0" priority 0; policy accept; }; }
"""
# who owns the table, and what the gateway itself sends meanwhile
VOLATILE = r" # progname .*| # handle \d+|\n\tflags owner| direct_packets_stat \d+"
QDISCS = (
    "qdisc add dev wan0 root handle 1: htb default 10",
    "class add dev wan0 parent 1: classid 1:10 htb rate 100mbit quantum 20000",
    "qdisc add dev wan0 parent 1:10 handle 10: pfifo limit 77",
    "qdisc add dev lan0 root handle 2: tbf rate 1gbit burst 100kb latency 10ms",
)


def everything_there(topology: Topology) -> str:
    """The ruleset with its handles, the queueing and the links, as their own tools print them."""
    classes = [["tc", "class", "show", "dev", device] for device in ("lan0", "wan0")]
    commands = (["nft", "-a", "list", "ruleset"], ["tc", "qdisc", "show"], *classes, ["ip", "link"])
    return "\n".join(topology.gateway.run(argv, check=True).stdout for argv in commands)


@pytest.mark.promise(17)
@pytest.mark.parametrize("lock", list(Lock), ids=lambda lock: lock.value)
def test_after_teardown_all_is_byte_for_byte_as_before(topology: Topology, lock: Lock) -> None:
    for command in QDISCS:
        topology.gateway.run(["tc", *command.split()], check=True)
    topology.gateway.run(["nft", FOREIGN], check=True)
    before = everything_there(topology)
    assert all(word in before for word in ("theirs", "masquerade", "pfifo", "tbf", "edged"))
    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        if lock is not Lock.NONE and kernel.capabilities().lock is Lock.NONE:
            require("netns", "needs a kernel with the owner flag (5.12)")
        if lock is Lock.OWNER_PERSIST and kernel.capabilities().lock is not lock:
            require("netns", "needs a kernel with the persist flag (6.9)")
        for policies in (POLICIES, POLICIES[:1], POLICIES):
            table = table_of([make(kind) for kind in policies], now=int(time.time()))
            enforce(kernel, Desired(table, lock, kernel.capabilities().queue), time.time)
        assert everything_there(topology) != before
        enforce(kernel, None, time.time)
        assert everything_there(topology) == before


@pytest.mark.promise(17)
def test_stop_keeps_the_policy_and_the_daemons_teardown_leaves_all_as_before(topology: Topology, measured: Measured) -> None:
    """With caps, whose trees are on devices that had the kernel's own queueing."""
    gateway = topology.gateway
    gateway.run(["nft", FOREIGN], check=True)
    before = everything_there(topology)
    with closing(Daemon(gateway)) as daemon:
        Files(0, 0).write(daemon.folder)
        daemon.start()
        eventually(lambda: everything_there(topology).count("class htb ed:") == 2 * 25, 15.0)
        assert daemon.client.status()["in_sync"]
        during = re.sub(VOLATILE, "", everything_there(topology))
        assert daemon.stop() == ExitCode.DONE
        assert re.sub(VOLATILE, "", everything_there(topology)) == during
        daemon.start()
        assert daemon.client.teardown() == {"removed": True, "devices": ["lan0", "wan0"]}
        torn_down = everything_there(topology)
    assert torn_down == before
    measured(
        f"a daemon with caps: its {during.count(chr(10))} lines stay after stop; {before.count(chr(10))} others' before and after"
    )


def test_files_that_are_wrong_change_nothing(topology: Topology, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every broken configuration is given to `edged apply` in the gateway: exit code 3, and not one commit."""
    cases = broken_cases()
    assert len(cases) >= 60

    def apply(path: Path) -> object:
        with pytest.raises(SystemExit) as ended:
            edged.main(["apply", "-c", str(path), "--socket", str(tmp_path / "nobody.sock")])
        return ended.value.code

    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        table = table_of([make(kind) for kind in POLICIES])
        enforce(kernel, Desired(table, queue=kernel.capabilities().queue), time.time)
        generation, before = kernel.generation(), everything_there(topology)
        for case in cases:
            code = inside(topology.gateway.netns, partial(apply, case.write(tmp_path / case.name)))
            said = capsys.readouterr()
            assert code == ExitCode.INVALID, f"{case.name}: {said.err}"
            assert kernel.generation() == generation, case.name
        assert everything_there(topology) == before
        # the control: a good one does change something
        good = tmp_path / "good"
        (good / "rules.d").mkdir(parents=True)
        (good / "rules.d" / "20-op25b.yaml").write_text("policy: op25b\n")
        (good / "edged.yaml").write_text(
            "gateway: {name: gw1, access: [lan0], upstream: [wan0]}\npools: {dynamic: [203.0.113.0/25]}\nstate: state\n"
        )
        assert inside(topology.gateway.netns, partial(apply, good / "edged.yaml")) in (ExitCode.DONE, ExitCode.DEGRADED)
        assert kernel.generation() != generation
