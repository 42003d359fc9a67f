"""How long leases take to be made, and what a daemon that knows 100,000 subscribers takes of memory.

    python -m bench.leases [ROUNDS]          (root)

The capper of the daemon over a real kernel: the shipped caps in force, a pool of 2,000 classes on each of two devices, and
100,000 subscribers known. The pools are made as in the daemon, 256 classes at each tick. Then 5,000 subscribers are put into the
set of those whose heavy flows have no lease, as the packet path does it, and the capper ticks once: 2,000 get a class, the rest a
bucket that polices. Last one more subscriber at a time is put there, beside the policed ones, who are seen there all the time,
and the capper ticks, ten times a second. What is printed is the CPU time of ticks, in which the kernel's is included; after one
packets are held. The longest ticks are those in which all trees and counters are looked at, which is each two seconds; what
holding so many takes of every second, those included, is told by itself.

The peer is `tc -batch` and `nft -f` with the same changes of classes and the same elements, in the same rounds. Memory is the
daemon's peak (VmHWM), after its start and after a reload.
"""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from bench import subscribers
from bench._namespaces import alone, ip, namespace
from bench._shipped import shipped
from bench._table import Table
from edged.addresses import Family
from edged.clock import SystemClock
from edged.daemon.capper import Capper
from edged.daemon.caps import TICK_SECONDS
from edged.enforce import enforce
from edged.kernel import uapi
from edged.kernel.attrs import nest
from edged.kernel.batch import Batch, Message
from edged.kernel.elements import encode_keys
from edged.kernel.leasemessages import request_elements
from edged.kernel.linux import LinuxKernel
from edged.kernel.nftsocket import NftSocket
from edged.kernel.tc import LinuxTrafficControl
from edged.kernel.uapi import ElemAttr, Msg
from edged.lab.topology import GATEWAY_LAN, Host
from edged.loader import Configuration
from edged.policies.caps import Caps
from edged.queueing.leases import CapSets
from edged.queueing.plan import ChangeClass
from edged.queueing.render import commands
from edged.queueing.tree import MAJOR, ClassId, Rate
from edged.ruleset.nodes import Direction
from edged.ruleset.plan import Desired
from tests.netns.daemon_process import CONFIG, Daemon

DEVICES = ("lan0", "wan0")
SETS = CapSets(Direction.DOWN, "p2p", Family.IPV4)
POOL, MANY, SINGLE = 2_000, 5_000, 20
MOST_SECONDS, MOST_MS, MOST_MB = 2.0, 20.0, 400.0
TICKS, MOST_MS_A_SECOND = 80, 100.0  # in so many ticks all is looked at four times
CAP = Rate(2_000_000)
LINE = Rate(10_000_000_000)
FIRST = IPv4Address("100.100.0.0")  # of those who are heavy, one after the other


class Rig:
    """A gateway with the capper, which nobody but this ticks."""

    def __init__(self, netns: str, configuration: Configuration) -> None:
        self._argv = ["ip", "netns", "exec", netns]
        self._configuration = configuration
        self.kernel = LinuxKernel(netns)
        queue = self.kernel.capabilities().queue
        enforce(self.kernel, Desired(configuration.table(int(time.time())), queue=queue), time.time)
        self._nft_socket = NftSocket(netns)
        self._traffic = LinuxTrafficControl(netns)
        self.capper = Capper(self.kernel.leases(), self._traffic, SystemClock(), lambda _: LINE)

    def tick(self) -> float:
        """The seconds of CPU time of one tick. Raises RuntimeError where the capper met trouble."""
        began = time.process_time()
        self.capper.tick(self._configuration)
        took = time.process_time() - began
        if self.capper.state.trouble:
            raise RuntimeError(self.capper.state.trouble)
        return took

    def make_pools(self) -> float:
        """The seconds of the ticks that make the pools of both devices."""
        seconds, whole = 0.0, dict.fromkeys(DEVICES, POOL + 1)
        while {device: len(self._traffic.statistics(device)) for device in DEVICES} != whole:
            seconds += self.tick()
        return seconds + self.tick()

    def remember(self, places: range) -> None:
        """Put subscribers into the set of those who want a lease."""
        addresses = b"".join((FIRST + place).packed for place in places)
        lists = (nest(ElemAttr.LIST_ELEMENTS, each) for each in encode_keys(Family.IPV4, addresses))
        where = request_elements("edged", SETS.heavy)
        self._nft_socket.commit(
            Batch(tuple(Message(Msg.NEWSETELEM, uapi.NLM_F_CREATE, where + each, SETS.heavy) for each in lists))
        )

    def forget(self) -> None:
        """Nobody wants one."""
        self._run("nft", "-f", "-", given=f"flush set inet edged {SETS.heavy}")

    def hold(self, places: range) -> float:
        """The seconds of the ticks until all of these have a lease or a bucket in the kernel. Raises RuntimeError after ten.

        One tick is enough, unless the kernel is just making a set larger: a dump passes elements over then.
        """
        leases, seconds = self.kernel.leases(), 0.0
        for _ in range(10):
            seconds += self.tick()
            held = {each.key for each in leases.leased(SETS)} | {each.key for each in leases.policed(SETS)}
            if all(int(FIRST) + place in held for place in places):
                return seconds
        raise RuntimeError("not all who want a lease have one")

    def keep(self) -> float:
        """The seconds of CPU time that all leases there are take of each second."""
        return sum(self._tick_later() for _ in range(TICKS)) / (TICKS * TICK_SECONDS)

    def _tick_later(self) -> float:
        time.sleep(TICK_SECONDS)
        return self.tick()

    def by_tools(self) -> float:
        """The seconds that the same takes with tc and nft, on the pools that are there; it is undone."""
        classes = [ClassId(MAJOR, 2 + place) for place in range(POOL)]
        changes = [ChangeClass(DEVICES[0], each, CAP) for each in classes]
        limits = [
            f"add limit inet edged peer{n} {{ rate over 250000 bytes/second burst 25000 bytes }}" for n in range(MANY - POOL)
        ]
        leased = (f"{FIRST + n} timeout 1m : {each.major:x}:{each.minor:x}" for n, each in enumerate(classes))
        policed = (f'{FIRST + POOL + n} timeout 1m : "peer{n}"' for n in range(MANY - POOL))
        elements = [
            f"add element inet edged {name} {{ {', '.join(each)} }}"
            for name, each in ((SETS.lease, leased), (SETS.police, policed))
        ]
        began = _childrens_time()
        self._run("tc", "-batch", "-", given="".join(f"{line.removeprefix('tc ')}\n" for line in commands(changes)))
        self._run("nft", "-f", "-", given="\n".join((*limits, *elements)))
        took = _childrens_time() - began
        maps = [f"flush map inet edged {name}" for name in (SETS.lease, SETS.police)]
        gone = (f"delete limit inet edged peer{n}" for n in range(MANY - POOL))
        self._run("nft", "-f", "-", given="\n".join((*maps, *gone)))
        return took

    def _run(self, *argv: str, given: str) -> None:
        done = subprocess.run([*self._argv, *argv], input=given, text=True, check=False, capture_output=True)
        if done.returncode:
            raise RuntimeError(done.stderr[:1000])


def _childrens_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def configured() -> Configuration:
    """The example with the pool and the subscribers of this page."""
    example = shipped()
    policies = tuple(
        replace(each, settings=each.settings.model_copy(update={"pool": POOL})) if isinstance(each.settings, Caps) else each
        for each in example.policies
    )
    return replace(example, policies=policies, subscribers=subscribers.edged(_file()))


def _file() -> bytes:
    """100,000 rows, a quarter of them of the one plan that the shipped caps know."""
    raw, _ = subscribers.file(random.Random(1))
    return raw.replace(b",home", b",").replace(b",gold", b",")


def measure_leases(table: Table, netns: str, rounds: int) -> None:
    """Pools, many leases at once, and one."""
    pools, many, one, kept, tools = [], [], [], [], []
    rig = Rig(netns, configured())
    with closing(rig.kernel):
        for _ in range(rounds):
            alone(20)
            pools.append(rig.make_pools())
            tools.append(rig.by_tools())
            rig.remember(range(MANY))
            many.append(rig.hold(range(MANY)))
            rig.forget()
            rig.remember(range(POOL, MANY))  # those who are policed are seen all the time
            kept.append(rig.keep())
            rig.forget()
            rig.remember(range(POOL, MANY))
            for place in range(MANY, MANY + SINGLE):
                time.sleep(TICK_SECONDS)
                rig.remember(range(place, place + 1))
                one.append(rig.tick())
            rig.hold(range(POOL, MANY + SINGLE))
            rig.forget()
            rig.capper.release()
    table.head(f"pools of {POOL:,} classes on {len(DEVICES)} devices", "s")
    table.row("made, all ticks together", pools)
    table.head(f"{MANY:,} leases at once, {POOL:,} by classes, the rest by buckets", "s", "tools")
    table.row("tc -batch and nft -f", tools)
    table.against("edged", many, tools)
    table.row("edged, as promised", many, MOST_SECONDS, "s")
    table.head(f"{MANY:,} leases kept", "ms a second")
    table.row("edged, all ticks", [each * 1000 for each in kept], MOST_MS_A_SECOND, "ms")
    table.head(f"one lease beside {MANY:,}, {rounds * SINGLE} times", "ms")
    table.row("edged, one tick", [each * 1000 for each in one], MOST_MS, "ms")


def measure_memory(table: Table, netns: str) -> None:
    """A daemon with all those subscribers."""
    ip(netns, "link set lo up")
    with closing(Daemon(Host(netns, *GATEWAY_LAN))) as daemon:
        (daemon.folder / "subscribers.csv").write_bytes(_file())
        text = CONFIG.replace("dynamic: [203.0.113.0/25, 2001:db8:d::/48]", "dynamic: [100.64.0.0/10, 2001:db8::/32]")
        daemon.config.write_text(f"{text}subscribers: subscribers.csv\n")
        daemon.start()
        peaks = {"started": _peak(daemon)}
        (daemon.folder / "subscribers.csv").write_bytes(_file() + b"\nC-new,100.64.0.0,")
        daemon.client.reload()
        time.sleep(3)
        peaks["started, and all of them read anew"] = _peak(daemon)
    table.head("the daemon with 100,000 subscribers, VmHWM", "MB")
    for when, peak in peaks.items():
        table.row(when, [peak], MOST_MB, "MB")


def _peak(daemon: Daemon) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024 / 1e6


def main() -> int:
    """Measure and print; 1 where a promise is not kept."""
    rounds = max(3, int(sys.argv[1])) if len(sys.argv) > 1 else 3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the daemon and the namespaces go in any case
    table = Table()
    print(f"{rounds} rounds")
    with namespace("leases") as netns:
        for device in DEVICES:
            ip(netns, f"link add {device} type veth peer name {device}-far", f"link set {device} up", f"link set {device}-far up")
        measure_leases(table, netns, rounds)
    with namespace("daemon") as netns:
        measure_memory(table, netns)
    return int(not table.held)


if __name__ == "__main__":
    sys.exit(main())
