"""A gateway whose edged dies: foreign things beside it, traffic through it, and what is to be seen once edged is there again."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from edged.addresses import Family
from edged.lab.topology import Topology
from edged.lists.store import ListStore
from edged.marks import DEFAULT_MASK
from edged.state import StateFolder
from tests.netns.bulk import transfers
from tests.netns.caps.held import PEER_HANDSHAKE
from tests.netns.daemon_process import Daemon
from tests.netns.faults.files import GUEST, LIST, STEADY, Files, leases_of, network, source
from tests.netns.faults.meter import Meter
from tests.netns.faults.state import KernelState, Lease, foreign_state, kernel_state

FOREIGN = """
table inet theirs {
    set allowed { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1-192.0.2.9 }; }
    chain mangle { type filter hook prerouting priority -140; tcp dport 25-587 ct mark set ct mark | 0xab000041; }
}
table ip6 edged { chain same_name_other_family { }; }
table netdev early { chain lan { type filter hook ingress device "lan0" priority 0; policy accept; }; }
"""
DEVICE = (
    "ip link add other0 txqueuelen 77 type veth peer name other1",
    "ip link set other0 up",
    "tc qdisc add dev other0 root handle 1: htb default 10",
    "tc class add dev other0 parent 1: classid 1:10 htb rate 100mbit quantum 20000",
)
# connections with every bit of their marks set that is not edged's, and the generations that edged writes first
MARKS = tuple(0xFF0000FF | own for own in (0, 0x100, 0x200, 0x80300))
_MARKED = "100.64.8.1"  # the far end of those connections
_CHAINED = 0xAB000041  # what the foreign chain sets in the marks of the probe's connections
_PATIENCE = 30.0  # seconds until all that a start sets going has come to rest, on a busy machine
_FEW = 3  # descriptors of connections that are under way
_PACE = 4_000_000  # bits a second: enough to be heavy, nothing for the machine


class World:
    """A gateway with a folder of files, and a subscriber who is capped; `rng` draws what is left to chance."""

    def __init__(self, topology: Topology, rng: random.Random) -> None:
        self.topology = topology
        self.gateway = topology.gateway
        self.rng = rng
        self.daemon = Daemon(topology.gateway)
        for each in (*(self.folder / "rules.d").iterdir(), *(self.folder / "lists").iterdir()):
            each.unlink()
        self.meter = Meter(self.folder / "meter")
        self.guests = ExitStack()  # the traffic that goes on until the gateway was checked
        self._prepare()
        self._foreign = foreign_state(self.gateway)
        self._names: frozenset[str] | None = None
        self._descriptors = 0

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.daemon.folder

    def ask_for(self, files: Files) -> None:
        """Write other files."""
        self.files = files
        files.write(self.folder)

    def moves_much(self, number: int) -> AbstractContextManager[object]:
        """That subscriber's p2p, in both families, for as long as the context lasts."""
        host = replace(self.topology.dynamic, ipv4=IPv4Address(source(number)), ipv6=IPv6Address(f"{network(number)}1"))
        return transfers([((host, self.topology.web), family) for family in Family], PEER_HANDSHAKE, pace=_PACE)

    def command(self, environment: Mapping[str, str], *arguments: str) -> list[str]:
        """The command edged in the gateway."""
        variables = (f"{name}={value}" for name, value in environment.items())
        inside = ("ip", "netns", "exec", self.gateway.netns, "env", *variables)
        return [*inside, sys.executable, "-m", "edged", *arguments, "-c", str(self.daemon.config)]

    def restart(self) -> None:
        """Start the daemon as systemd would, or as somebody who keeps no sockets."""
        self.hear()
        if self.rng.random() < 0.5:
            self.daemon.systemd.drop("nft")
        self.daemon.start(owner=self.daemon.systemd.kept.get("nft"), **self.meter.environment)
        self.hear()

    def hear(self) -> None:
        """Take, as systemd, what was told and not heard yet."""
        while self.daemon.systemd.hear(0.001) is not None:
            pass

    def check(self, wanted: KernelState, least: frozenset[Lease]) -> None:
        """Fails unless all comes to be as the files ask, those leases among it, and what is not edged's is as it was."""
        until = time.monotonic() + _PATIENCE
        while wrong := next(filter(None, self._wrong(wanted, least)), ""):
            assert time.monotonic() < until, wrong
            time.sleep(0.1)
        if self._names is None:
            self._names = self._files()

    def close(self) -> None:
        self.guests.close()
        self.daemon.close()
        self.meter.close()

    def _wrong(self, wanted: KernelState, least: frozenset[Lease]) -> Iterator[str]:
        state = kernel_state(self.gateway)
        yield state.differences(wanted)
        held = state.leases.keys()
        yield _listed("not capped", least - held)
        yield _listed("capped and nobody asks for it", held - leases_of(self.files, STEADY) - leases_of(self.files, GUEST))
        foreign = foreign_state(self.gateway)
        yield "" if foreign == self._foreign else f"foreign things were touched: {foreign}"
        yield from self._wrong_marks()
        yield _listed("left over", self._files() - (self._names or self._files()))
        yield _listed("processes", self._processes())
        yield from self._wrong_state()
        if self.daemon.processes:
            yield from self._wrong_daemon()

    def _wrong_marks(self) -> Iterator[str]:
        theirs = sorted(mark & ~DEFAULT_MASK for mark in self._marks("udp", _MARKED))
        yield "" if theirs == sorted(mark & ~DEFAULT_MASK for mark in MARKS) else f"foreign marks are now {theirs}"
        probes = {mark & ~DEFAULT_MASK for mark in self._marks("tcp", str(self.topology.foreign_mail.ipv4))}
        yield _listed("foreign bits in the probe's marks", probes - {_CHAINED})

    def _wrong_state(self) -> Iterator[str]:
        """What is not whole in the state folder, or not that of the files in force."""
        state = StateFolder(self.folder / "state")
        good = state.load_last_good()
        kept = {} if good is None else good.sources
        yield _listed("not as it was last kept", (path for path, content in kept.items() if path.read_bytes() != content))
        yield "" if kept else "no last good files are kept"
        yield "" if (state.pending(), state.rejected()) == (None, None) else "a change waits, or was rolled back"
        yield "" if ListStore(self.folder / "state").load(LIST) is not None else "the last good list is not whole"

    def _wrong_daemon(self) -> Iterator[str]:
        """What the daemon says of itself, what systemd keeps of it, and how many descriptors it has."""
        status = self.daemon.client.status()
        yield "" if status["in_sync"] and not status["degraded"] else f"not in sync, or degraded: {status['degraded']}"
        yield _listed("kept by systemd", self.daemon.systemd.kept.keys() ^ {"nft"})
        opened = len(list(Path(f"/proc/{self.daemon.process.pid}/fd").iterdir()))
        self._descriptors = self._descriptors or opened
        yield "" if opened <= self._descriptors + _FEW else f"{opened} descriptors are open, of {self._descriptors} at first"

    def _files(self) -> frozenset[str]:
        """All that lies in the folder, but for the logs of each start."""
        return frozenset(str(each.relative_to(self.folder)) for each in self.folder.rglob("*") if not each.match("log*"))

    def _processes(self) -> set[str]:
        """Processes in the gateway that are not the daemon or its children."""
        listed = subprocess.run(["ip", "netns", "pids", self.gateway.netns], capture_output=True, text=True, check=True)
        daemon = {str(each.pid) for each in self.daemon.processes if each.poll() is None}
        return {pid for pid in listed.stdout.split() if not _ancestors(pid) & daemon}

    def _marks(self, protocol: str, destination: str) -> list[int]:
        listed = self.gateway.run(["conntrack", "-L", "-p", protocol, "-d", destination], check=True).stdout
        return [int(mark) for mark in re.findall(r" mark=(\d+)", listed)]

    def _prepare(self) -> None:
        for command in DEVICE:
            self.gateway.run(command.split(), check=True)
        self.gateway.run(["nft", "-f", "-"], stdin=FOREIGN, check=True)
        for number, mark in enumerate(MARKS):
            ends = ("-s", f"100.64.9.{number}", "-d", _MARKED, "-p", "udp", "--sport", "9", "--dport", "9")
            self.gateway.run(["conntrack", "-I", *ends, "-t", "86400", "-m", mark], check=True)
        for number in (STEADY, GUEST):
            for address in ((f"{source(number)}/32",), (f"{network(number)}1/128", "nodad")):
                self.topology.dynamic.run(["ip", "address", "add", *address, "dev", "eth0"], check=True)
        self.ask_for(Files(0, 0))


def _listed(what: str, found: Iterable[object]) -> str:
    shown = ", ".join(sorted(map(str, found)))
    return f"{what}: {shown}" if shown else ""


def _ancestors(pid: str) -> set[str]:
    """The process and those that it descends from; one that has just ended has none."""
    found = set()
    while pid not in {"0", ""}:
        found.add(pid)
        try:
            pid = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            return found
    return found
