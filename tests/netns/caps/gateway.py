"""The lab's gateway with `edged run` and caps alone in force, and subscribers with rows of their own.

A subscriber is an address of each family in the namespace `dynamic`; plans give each subscriber the rate that a test asks for.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

from edged.addresses import Family
from edged.kernel.namespace import inside
from edged.lab.topology import Host, Topology
from edged.ruleset.nodes import Direction
from tests.netns.daemon_process import Daemon

STREAMING_NAME = "rr3.googlevideo.com"  # below a name of the shipped list
IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
AFTER = 200_000  # bytes that a flow moves before it is held
DEVICES = {Direction.DOWN: "lan0", Direction.UP: "wan0"}
_EDGED = """\
gateway: {name: gw1, access: [lan0], upstream: [wan0]}
pools:
  dynamic: [203.0.113.0/25, 2001:db8:d::/48]
  static: [203.0.113.64/28, 198.51.100.0/24, 2001:db8:5::/48]
metrics: {listen: "127.0.0.1:9825"}
control: control.sock
state: state
subscribers: subscribers.csv
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What p2p and streaming of a plan's subscribers are held to, in kbit/s; both classes alike. 0: they are not."""

    name: str
    down: int
    up: int

    def __str__(self) -> str:
        if not self.down:
            return f"  {self.name}: {{p2p: off, streaming: off}}\n"
        rates = f"{{down: {self.down}kbit, up: {self.up}kbit}}"
        return f"  {self.name}: {{p2p: {rates}, streaming: {rates}}}\n"


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration; `pool` classes can be leased, and where there is none subscribers are policed.

    Of the devices in `replaces` another program's root qdisc does not stay.
    """

    plans: Sequence[Plan]
    pool: int = 32
    queues: int = 1
    replaces: Sequence[str] = ()

    @property
    def caps(self) -> str:
        """rules.d/50-caps.yaml."""
        rates = f"{{after: {AFTER // 1000}kB, down: 8mbit, up: 8mbit}}"
        return (
            f"policy: caps\nclasses:\n  p2p: {rates}\n  streaming: {rates}\n"
            f"plans:\n{''.join(map(str, self.plans))}"
            f"streaming_hosts: hosts/streaming.txt\npool: {self.pool}\nqueues: {self.queues}\n"
            f"replace_qdiscs: [{', '.join(self.replaces)}]\n"
        )


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A row, and the host that has its addresses."""

    number: int
    plan: str
    host: Host

    @property
    def row(self) -> str:
        """The line of subscribers.csv."""
        return f"S-{self.number},{self.host.ipv4} {ip_network((self.host.ipv6, 64), strict=False)},{self.plan}"


class CapsGateway:
    """The daemon in its namespace; `subscribers` are who has a row."""

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology = topology
        self.settings = settings
        self.subscribers: list[Subscriber] = []
        self.daemon = Daemon(topology.gateway)
        for shipped in (self.daemon.folder / "rules.d").iterdir():
            shipped.unlink()
        hosts = self.daemon.folder / "hosts"
        hosts.mkdir(exist_ok=True)
        (hosts / "streaming.txt").write_text(f"{STREAMING_NAME.partition('.')[2]}\n")

    def subscriber(self, plan: str) -> Subscriber:
        """A new one; its row holds from the next start or reload on."""
        number = len(self.subscribers) + 20
        addresses = IPv4Address(f"203.0.113.{number}"), IPv6Address(f"2001:db8:d:{number:x}::1")
        host = replace(self.topology.dynamic, ipv4=addresses[0], ipv6=addresses[1])
        for address in addresses:
            length = address.max_prefixlen
            nodad = ("nodad",) if length == 128 else ()
            self.topology.dynamic.run(["ip", "address", "add", f"{address}/{length}", "dev", "eth0", *nodad], check=True)
        self.subscribers.append(made := Subscriber(number, plan, host))
        return made

    def write(self) -> None:
        """Put the settings and the rows into the files."""
        folder = self.daemon.folder
        self.daemon.config.write_text(_EDGED)
        (folder / "rules.d/50-caps.yaml").write_text(self.settings.caps)
        (folder / "subscribers.csv").write_text("\n".join(["id,prefixes,plan", *(each.row for each in self.subscribers), ""]))

    def start(self, shaped: Collection[str] = tuple(DEVICES.values()), seconds: float = 15.0) -> None:
        """Start the daemon; returns when flows are inspected and the pool can be leased on the devices, each within `seconds`."""
        self.write()
        self.daemon.start()
        self.await_inspection(seconds)
        if self.settings.pool:
            self.await_trees(shaped, seconds)

    def await_inspection(self, seconds: float) -> None:
        """Wait until flows are inspected."""
        self._await(self.inspects, seconds)

    def await_trees(self, devices: Collection[str], seconds: float) -> None:
        """Wait until the pool can be leased on the devices."""
        self._await(lambda: all(map(self.is_shaped, devices)), seconds)

    def give_plan(self, subscriber: int, plan: str) -> None:
        """Another plan in the row of the subscriber with that index."""
        self.subscribers[subscriber] = replace(self.subscribers[subscriber], plan=plan)

    def is_shaped(self, device: str) -> bool:
        """Whether all classes of the pool, and the line's, are there."""
        shown = self.topology.gateway.run(["tc", "class", "show", "dev", device]).stdout
        return len(re.findall(r"class htb ed:", shown)) == self.settings.pool + 1

    def reload(self) -> None:
        """Have the daemon take the files anew."""
        self.write()
        self.daemon.client.reload()

    def inspects(self) -> bool:
        """Whether each queue holds packets for its worker: the kernel numbers what waits, and nothing that passes by."""
        before = self._numbered()
        with contextlib.ExitStack() as opened:
            for sender in (self.topology.dynamic, self.topology.open_resolver, self.topology.static):
                outbox = opened.enter_context(sender.socket(socket.AF_INET, socket.SOCK_DGRAM))
                outbox.bind((str(sender.ipv4), 0))
                for receiver in (self.topology.web, self.topology.own_mail, self.topology.resolver):
                    outbox.sendto(b"?", (str(receiver.ipv4), 9))
        after = self._numbered()
        return len(after) == self.settings.queues and all(after[queue] > before.get(queue, 0) for queue in after)

    def workers(self) -> list[int]:
        """The inspectors' processes."""
        return [pid for pid in _children(self.daemon.process.pid) if b"edged.inspectors" in _command(pid)]

    def has_lease(self, subscriber: Subscriber, direction: Direction, family: Family) -> bool:
        """Whether the subscriber's heavy p2p in that direction and family goes through a class."""
        address = subscriber.host.address(family)
        key = address if family is Family.IPV4 else ip_network((address, 64), strict=False)[0]
        name = f"lease_{direction.value}_p2p{4 if family is Family.IPV4 else 6}"
        asked = ["nft", "get", "element", "inet", "edged", name, f"{{ {key} }}"]
        return self.topology.gateway.run(asked).returncode == 0

    def limit_segments(self, most: int) -> None:
        """No host puts more segments than that into a packet from now on; 1 is as on a wire."""
        for host in (self.topology.dynamic, self.topology.web):
            host.run(["ip", "link", "set", "eth0", "gso_max_segs", most], check=True)

    def close(self) -> None:
        self.daemon.close()

    def _await(self, what: Callable[[], bool], seconds: float) -> None:
        """Look a hundred times: each look costs a slow machine the time that it needs itself."""
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, f"not so after {seconds} s: {self.daemon.log()}"
            time.sleep(seconds / 100)

    def _numbered(self) -> dict[int, int]:
        """The number of the last packet of each queue (nfnetlink_queue.c: seq_show)."""
        path = "/proc/thread-self/net/netfilter/nfnetlink_queue"
        rows = inside(self.topology.gateway.netns, lambda: Path(path).read_text()).splitlines()
        return {int(row.split()[0]): int(row.split()[7]) for row in rows}


@contextmanager
def caps_gateway(settings: Settings, plans: Iterable[str]) -> Iterator[CapsGateway]:
    """A gateway with a subscriber of each of the plans, the daemon ready."""
    with unstarted(settings, plans) as made:
        made.start()
        yield made


@contextmanager
def unstarted(settings: Settings, plans: Iterable[str]) -> Iterator[CapsGateway]:
    """A gateway with a subscriber of each of the plans, without the daemon."""
    with Topology() as topology:
        made = CapsGateway(topology, settings)
        try:
            for plan in plans:
                made.subscriber(plan)
            yield made
        finally:
            made.close()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            direct = [int(each) for each in (task / "children").read_text().split()]
        except FileNotFoundError:
            continue  # the thread has ended
        found += direct + [each for child in direct for each in _children(child)]
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
