"""The throw-away gateway: five network namespaces, joined by veth pairs, every host with IPv4 and IPv6.

    dynamic --+
              +-- access (a bridge) -- lan0 [gateway] wan0 -- outside
    static  --+

A subscriber's addresses are host addresses, so all it sends goes to the gateway, also what is for another subscriber. The
Internet is one namespace with an address for each of its servers. The links are made inside the namespaces: the machine's
own network sees nothing of them. The gateway checks no source address by itself (rp_filter is off): only edged does.

A run's namespaces are named after its process; those of a process that is gone are removed when the next run begins.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from types import TracebackType
from typing import Self

from edged.addresses import Family
from edged.errors import EdgedError
from edged.kernel.namespace import NAMESPACES
from edged.lab import netns as namespaces

Address = IPv4Address | IPv6Address
Process = subprocess.Popen[str]

# What the shipped example says of these: 203.0.113.0/25 is dynamic but for 203.0.113.64/28, which is static.
DYNAMIC = (IPv4Address("203.0.113.10"), IPv6Address("2001:db8:d::10"))
OPEN_RESOLVER = (IPv4Address("203.0.113.11"), IPv6Address("2001:db8:d::11"))
STATIC = (IPv4Address("203.0.113.66"), IPv6Address("2001:db8:5::66"))
OWN_MAIL = (IPv4Address("192.0.2.25"), IPv6Address("2001:db8:a::25"))
FOREIGN_MAIL = (IPv4Address("192.0.2.200"), IPv6Address("2001:db8:a::200"))
RESOLVER = (IPv4Address("192.0.2.153"), IPv6Address("2001:db8:a::153"))
WEB = (IPv4Address("192.0.2.80"), IPv6Address("2001:db8:a::80"))
# in a list of the shipped example
LISTED = (IPv4Address("192.0.2.66"), IPv6Address("2001:db8:a::66"))
# addresses that nobody in the lab has, outside every pool
STRANGER = (IPv4Address("198.18.0.66"), IPv6Address("2001:db8:bad::66"))

GATEWAY_LAN = (IPv4Address("192.0.2.1"), IPv6Address("fe80::1"))
GATEWAY_WAN = (IPv4Address("192.0.2.2"), IPv6Address("2001:db8:a::2"))
POOLS = tuple(ip_network(p) for p in ("203.0.113.0/24", "198.51.100.0/24", "100.64.0.0/10", "2001:db8:d::/48", "2001:db8:5::/48"))

ROLES = ("gw", "access", "dynamic", "static", "outside")

# addresses are usable at once (no duplicate address detection), and nobody configures anything from what it hears
_QUIET = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/all/accept_ra": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
}
_FORWARDING = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    # subscribers reach each other through the gateway: it must not tell them of a shorter way
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
}
# where br_netfilter is loaded it would judge what the bridge carries
_PLAIN_BRIDGE = {f"net/bridge/bridge-nf-call-{what}": "0" for what in ("iptables", "ip6tables", "arptables")}

# who hangs on the access network, and the name of their end
_PORTS = {"gw": "lan0", "dynamic": "eth0", "static": "eth0"}
_LINKS_UP = 10.0

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Host:
    """An address pair and the namespace that has it; commands run there, as root."""

    netns: str
    ipv4: IPv4Address
    ipv6: IPv6Address
    processes: list[Process] = field(default_factory=list, repr=False, compare=False)

    def address(self, family: Family) -> Address:
        """The host's address of one family."""
        return self.ipv4 if family is Family.IPV4 else self.ipv6

    def run(
        self, argv: Sequence[object], timeout: float = 10, *, stdin: str = "", check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end and keeps what it says; raises TimeoutExpired, and CalledProcessError where `check`."""
        command = self._inside(argv)
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=check)  # noqa: S603

    def popen(self, argv: Sequence[object], output: Path | None = None) -> Process:
        """Starts a command that ends with the topology, or with this process; it writes to `output`, else to nobody."""
        # pdeathsig: also where this process is killed without a chance to clean up. A session of its own: the terminal's
        # Ctrl-C is for this process, which then ends the others in good order.
        command = self._inside(["setpriv", "--pdeathsig", "KILL", "--", *argv])
        with (output or Path(os.devnull)).open("w") as log:
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
        self.processes.append(process)
        return process

    def end(self, process: Process) -> None:
        """Ends a process that was started here, ahead of the topology."""
        self.processes.remove(process)
        _end([process])

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
        """A socket of this host's namespace, for use in this process."""
        return namespaces.open_socket(self.netns, family, kind, protocol)

    def _inside(self, argv: Sequence[object]) -> list[str]:
        return ["ip", "netns", "exec", self.netns, *map(str, argv)]


class Topology:
    """The namespaces and who lives in them, from entering the context to leaving it.

    `gateway`, `dynamic` and `static` have a namespace each; `open_resolver` is a second address of `dynamic`. `own_mail`,
    `foreign_mail`, `resolver`, `web` and `listed` share the namespace of `outside`. Raises EdgedError where it cannot be built.
    """

    def __init__(self) -> None:
        serial = next(_serial)
        self.name = f"edged-{os.getpid()}" if serial == 1 else f"edged-{os.getpid()}.{serial}"
        self._processes: list[Process] = []
        self.gateway = self._host("gw", GATEWAY_LAN)
        self.dynamic = self._host("dynamic", DYNAMIC)
        self.open_resolver = self._host("dynamic", OPEN_RESOLVER)
        self.static = self._host("static", STATIC)
        self.outside = self._host("outside", FOREIGN_MAIL)
        self.own_mail = self._host("outside", OWN_MAIL)
        self.foreign_mail = self.outside
        self.resolver = self._host("outside", RESOLVER)
        self.web = self._host("outside", WEB)
        self.listed = self._host("outside", LISTED)

    def __enter__(self) -> Self:
        remove_leftovers()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._remove()

    def _host(self, role: str, addresses: tuple[IPv4Address, IPv6Address]) -> Host:
        return Host(self._netns(role), *addresses, self._processes)

    def _netns(self, role: str) -> str:
        return f"{self.name}-{role}"

    def _build(self) -> None:
        _batch(None, [f"netns add {self._netns(role)}" for role in ROLES])
        for role in ROLES:
            namespaces.set_sysctls(self._netns(role), _QUIET)
        namespaces.set_sysctls(self.gateway.netns, _FORWARDING)
        self._wire()
        _batch(self.gateway.netns, gateway_commands())
        _batch(self.dynamic.netns, _subscriber_commands(self.dynamic, self.open_resolver))
        _batch(self.static.netns, _subscriber_commands(self.static))
        _batch(self.outside.netns, _outside_commands(self.outside, self.own_mail, self.resolver, self.web))
        _batch(self.outside.netns, _aside_commands(self.listed))
        self.await_links()

    def _wire(self) -> None:
        access = self._netns("access")
        commands = [
            "link set lo up",
            "link add access0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            *(f"link add to-{role} type veth peer name {name} netns {self._netns(role)}" for role, name in _PORTS.items()),
            *(f"link set to-{role} master access0 up" for role in _PORTS),
            "link set access0 up",
        ]
        _batch(access, commands)
        present = {path: value for path, value in _PLAIN_BRIDGE.items() if Path("/proc/sys", path).exists()}
        namespaces.set_sysctls(access, present)
        _batch(self.gateway.netns, [f"link add wan0 type veth peer name eth0 netns {self.outside.netns}"])

    def await_links(self) -> None:
        """Wait until all links are up, in the kernel's own time (net/core/link_watch.c); what is sent before is lost.

        Raises EdgedError where they do not come up.
        """
        access = [("access", name) for name in ("access0", *(f"to-{role}" for role in _PORTS))]
        links = [*access, *_PORTS.items(), ("gw", "wan0"), ("outside", "eth0")]
        until = time.monotonic() + _LINKS_UP
        while down := [f"{name} of {role}" for role, name in links if not namespaces.carries(self._netns(role), name)]:
            if time.monotonic() > until:
                raise EdgedError(f"the lab's links do not come up: {', '.join(down)}; all of it is removed again")
            time.sleep(0.002)

    def _remove(self) -> None:
        _end(self._processes)
        for role in ROLES:
            _remove_namespace(self._netns(role))


def remove_leftovers() -> None:
    """Removes the namespaces of runs whose process is gone, and ends what still runs in them."""
    for path in sorted(NAMESPACES.glob("edged-*")):
        owner = re.fullmatch(rf"edged-(\d+)(\.\d+)?-({'|'.join(ROLES)})", path.name)
        if owner and not Path("/proc", owner[1]).exists():
            _remove_namespace(path.name)


def gateway_commands() -> list[str]:
    """What brings the gateway's interfaces up, with their addresses and routes, as commands of ip(8)."""
    return [
        "link set lo up",
        "link set lan0 up",
        "link set wan0 up",
        f"address add {GATEWAY_LAN[0]}/32 dev lan0",
        f"address add {GATEWAY_LAN[1]}/64 dev lan0 nodad",
        f"address add {GATEWAY_WAN[0]}/24 dev wan0",
        f"address add {GATEWAY_WAN[1]}/64 dev wan0 nodad",
        *(f"route add {pool} dev lan0" for pool in POOLS),
    ]


def _subscriber_commands(*hosts: Host) -> list[str]:
    return [
        "link set lo up",
        "link set eth0 up",
        *(f"address add {host.ipv4}/32 dev eth0" for host in hosts),
        *(f"address add {host.ipv6}/128 dev eth0 nodad" for host in hosts),
        f"route add {GATEWAY_LAN[0]} dev eth0 src {hosts[0].ipv4}",
        f"route add default via {GATEWAY_LAN[0]} src {hosts[0].ipv4}",
        f"route add default via {GATEWAY_LAN[1]} dev eth0 src {hosts[0].ipv6}",
    ]


def _outside_commands(*hosts: Host) -> list[str]:
    # no default route: a server that asks the machine's own name servers hears at once that they are out of reach
    return [
        "link set lo up",
        "link set eth0 up",
        *(f"address add {host.ipv4}/24 dev eth0" for host in hosts),
        *(f"address add {host.ipv6}/64 dev eth0 nodad" for host in hosts),
        *(f"route add {pool} via {GATEWAY_WAN[0 if pool.version == 4 else 1]} dev eth0" for pool in POOLS),
    ]


def _aside_commands(host: Host) -> list[str]:
    """An address more, which the kernel never chooses as source by itself (RFC 6724 section 5, rule 3)."""
    return [f"address add {host.ipv4}/24 dev eth0", f"address add {host.ipv6}/64 dev eth0 nodad preferred_lft 0"]


def _batch(netns: str | None, commands: Iterable[str]) -> None:
    """Runs commands of ip(8) in one process; raises EdgedError with the first that failed."""
    argv = ["ip", *(("-n", netns) if netns else ()), "-batch", "-"]
    done = subprocess.run(argv, input="\n".join(commands) + "\n", capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    if done.returncode != 0:
        where = f" in namespace {netns}" if netns else ""
        raise EdgedError(f"the lab's network could not be built{where}: {done.stderr.strip()}; what was built is removed again")


def _end(processes: list[Process]) -> None:
    """Ends the processes: asked first, all at once, killed where they do not follow."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + 3
    for process in processes:
        try:
            process.wait(max(0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    processes.clear()


def _remove_namespace(netns: str) -> None:
    """Ends what still runs in the namespace and takes its name away; one that is not there is no failure."""
    if not (NAMESPACES / netns).exists():
        return
    listed = subprocess.run(["ip", "netns", "pids", netns], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603, S607
    for pid in map(int, listed.stdout.split()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself
    subprocess.run(["ip", "netns", "delete", netns], capture_output=True, check=False, timeout=30)  # noqa: S603, S607
