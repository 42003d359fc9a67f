"""A gateway that is never left alone: a hundred thousand subscribers, and what changes about it all the time."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address

from edged.addresses import Family
from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Host, Topology
from tests.netns.bulk import transfers
from tests.netns.caps.held import PEER_HANDSHAKE
from tests.netns.daemon_process import Daemon

SUBSCRIBERS = 100_000
ENTRIES = 200_000
_HEAVY = [IPv4Address("203.0.113.32") + number for number in range(16)]  # whose flows come and go
_FIRST = IPv4Address("100.64.0.0")
_EDGED = """\
gateway: {name: gw1, access: [lan0, lan1], upstream: [wan0]}
pools:
  dynamic: [203.0.113.0/25, 100.64.0.0/10, "2001:db8:d::/48"]
  static: [203.0.113.64/28, 198.51.100.0/24, "2001:db8:5::/48"]
metrics: {listen: "127.0.0.1:9825"}
control: control.sock
state: state
subscribers: subscribers.csv
"""
_CAPS = """\
policy: caps
pool: 64
classes:
  p2p: {after: 200kB, down: 4mbit, up: 4mbit}
  bulk: {after: 1MB, sustained: 20mbit, for: 60s, down: 8mbit, up: 8mbit}
"""
_BLOCKLIST = "policy: blocklist\nlists: [{name: feed, path: lists/feed}]\n"


class Churn:
    """The daemon, and what is done to it; each `change` is one kind of it, and says nothing."""

    def __init__(self, topology: Topology, opened: ExitStack) -> None:
        self.topology = topology
        self.daemon = Daemon(topology.gateway)
        opened.callback(self.daemon.close)
        self.leases = 0  # at most, of both directions
        self._mode = "enforce"
        self._chance = random.Random(20260101)
        self._listed = [_entry(number) for number in range(ENTRIES)]
        self._write_files()
        for address in _HEAVY:
            topology.dynamic.run(["ip", "address", "add", f"{address}/32", "dev", "eth0"], check=True)
        self.make_interface()

    def _write_files(self) -> None:
        folder = self.daemon.folder
        self.daemon.config.write_text(_EDGED)
        for shipped in ("10-blocklist.yaml", "50-caps.yaml"):
            (folder / "rules.d" / shipped).unlink(missing_ok=True)
        (folder / "rules.d/10-blocklist.yaml").write_text(_BLOCKLIST)
        (folder / "rules.d/50-caps.yaml").write_text(_CAPS)
        rows = (f"c{number},{_FIRST + number}/32,\n" for number in range(SUBSCRIBERS))
        (folder / "subscribers.csv").write_text("id,prefixes,plan\n" + "".join(rows))
        self._write_list()

    def _write_list(self) -> None:
        """As a careful feed would: beside it, then renamed."""
        new = self.daemon.folder / "lists/new"
        new.write_text("\n".join([*self._listed, ""]))
        new.replace(self.daemon.folder / "lists/feed")

    # --- what changes ---

    def some_entries(self) -> None:
        """A hundred entries go, and others come."""
        for _ in range(100):
            self._listed[self._chance.randrange(ENTRIES)] = _entry(self._chance.randrange(ENTRIES, 5 * ENTRIES))
        self._write_list()

    def whole_list(self) -> None:
        """Every entry is another."""
        self._listed = [_entry(number) for number in self._chance.sample(range(5 * ENTRIES), ENTRIES)]
        self._write_list()

    def policy(self) -> None:
        """A policy that stops becomes one that counts, or the other way."""
        self.make_policy("observe" if self._mode == "enforce" else "enforce")

    def make_policy(self, mode: str) -> None:
        """The policy in that mode, by a reload."""
        path = self.daemon.folder / "rules.d/20-op25b.yaml"
        path.write_text(path.read_text().replace(f"mode: {self._mode}", f"mode: {mode}"))
        self._mode = mode
        self.daemon.client.reload()

    def objects(self) -> int:
        """How many objects the table has, without the elements of its sets."""
        with closing(LinuxKernel(self.topology.gateway.netns)) as bystander:
            table = bystander.observe().table
        assert table is not None
        return len(table.counters) + len(table.sets) + sum(1 + len(chain.fingerprints) for chain in table.chains.values())

    def make_interface(self) -> None:
        """The second access interface is there."""
        self.topology.gateway.run(["ip", "link", "add", "lan1", "type", "veth", "peer", "name", "lan1-far"], check=True)
        for end in ("lan1", "lan1-far"):
            self.topology.gateway.run(["ip", "link", "set", end, "up"], check=True)

    def interface(self) -> None:
        """The second access interface goes, and comes back."""
        self.topology.gateway.run(["ip", "link", "delete", "lan1"], check=True)
        self.make_interface()

    def scrape(self) -> None:
        """Prometheus, and an operator."""
        self.daemon.metrics()
        self.daemon.client.top(10)
        caps = self.daemon.client.status()["caps"]
        assert caps is not None
        self.leases = max(self.leases, sum(each["leased"] for each in caps["directions"]))

    @contextmanager
    def heavy_flows(self) -> Iterator[None]:
        """Subscribers take turns with transfers that are held."""
        ending = threading.Event()
        web = self.topology.web

        def run() -> None:
            while not ending.is_set():
                some = self._chance.sample(_HEAVY, 4)
                hosts: list[Host] = [replace(self.topology.dynamic, ipv4=address) for address in some]
                with contextlib.suppress(OSError), transfers([((web, host), Family.IPV4) for host in hosts], PEER_HANDSHAKE):
                    ending.wait(3.0)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def _entry(number: int) -> str:
    """One address of many, scattered over 20.0.0.0/6."""
    return socket.inet_ntoa((0x14000000 + number * 61).to_bytes(4, "big"))


class Every:
    """Does a change when it is called and that long has passed since the last time; `count` is how often it did."""

    def __init__(self, seconds: float, change: Callable[[], None]) -> None:
        self.count = 0
        self._seconds = seconds
        self._change = change
        self._due = time.monotonic() + seconds

    def __call__(self) -> None:
        if time.monotonic() >= self._due:
            self._change()
            self.count += 1
            self._due = time.monotonic() + self._seconds
