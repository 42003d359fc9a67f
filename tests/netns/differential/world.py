"""A router with four interfaces, and the world around it: one namespace that sends into any interface and hears all.

    world  lan0 ---- lan0  router      The names are the same on both ends. A shot's DSCP says which way it goes out
           ppp0 ---- ppp0              (`ip rule fwmark`), so any packet can come in and go out anywhere.
           wan0 ---- wan0
           wan1 ---- wan1

The router has a foreign table that traces every shot and records what conntrack says of it. All packets of one trial are
sent by one CPU, which the kernel then carries through the router in order; frames of our own at the end of each capture say
that nothing more will come.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from edged.kernel.linux import LinuxKernel
from edged.kernel.namespace import NAMESPACES
from edged.lab import netns
from tests.gateway import NOW
from tests.netns.differential.netfilter import (
    SO_RCVBUFFORCE,
    Key,
    Trace,
    TraceReader,
    connections,
    flush_conntrack,
    open_traces,
    rule_comments,
)
from tests.netns.differential.shots import ICMP, ICMPV6, INTERFACES, OURS, TCP, UDP, UNTRACKED, Shot

FOREIGN = "differential"

_OURS = re.compile(r"edged:(.*):[0-9a-f]{16}:[0-9a-f]{8}(?::.*)?")
_WITH_PORTS = (TCP, UDP, ICMP, ICMPV6)
_ETH_P_ALL = 3
_END_OF_CAPTURE = 0x88B5  # IEEE 802 local experimental
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/default/router_solicitations": "0",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/icmp_ratemask": "0",  # every ICMP error is sent, however many there are
    "net/ipv6/icmp/ratelimit": "0",
}
_CONNTRACK = {
    "net/netfilter/nf_conntrack_tcp_loose": "1",
    "net/netfilter/nf_conntrack_tcp_be_liberal": "0",
    "net/netfilter/nf_conntrack_checksum": "1",
}

_WAYS = ", ".join(f"{OURS | bit | way} : {0xE0 + way:#x}" for bit in (0, UNTRACKED) for way in range(len(INTERFACES)))
_UNTRACKED = ", ".join(str(OURS | UNTRACKED | way) for way in range(len(INTERFACES)))
# Tracing begins behind the defragmentation (-400), so each whole packet is traced once.
TRACER = f"""table inet {FOREIGN} {{
    chain arrive {{
        type filter hook prerouting priority -300; policy accept;
        meta mark set ip dscp map {{ {_WAYS} }}
        meta mark set ip6 dscp map {{ {_WAYS} }}
        ip dscp {{ {_UNTRACKED} }} notrack
        ip6 dscp {{ {_UNTRACKED} }} notrack
        meta mark & 0xf0 == 0xe0 meta nftrace set 1
    }}
    chain state {{
        type filter hook forward priority -10; policy accept;
        ct state new comment "new"
        ct state established comment "established"
        ct state related comment "related"
        ct state invalid comment "invalid"
        ct state untracked comment "untracked"
        ct direction original comment "original"
        ct direction reply comment "reply"
    }}
}}
"""


@dataclass
class Seen:
    """What the kernel did with one shot."""

    foreign: list[str] = field(default_factory=list)  # the comments of the foreign table's rules that matched
    traced: int = 0  # how many of edged's base chains it came to
    rules: list[str] = field(default_factory=list)  # the rules of edged that matched, by name
    left_by: set[str] = field(default_factory=set)  # the interfaces it came out of


@dataclass
class Observed:
    """What came of a volley."""

    shots: dict[int, Seen]
    resets: set[tuple[bytes, bytes, int, int]]  # source, destination, ports of TCP resets that no shot is
    prohibited: set[int] = field(default_factory=set)  # the shots that an ICMP error came back for


class World:
    """The namespaces, from entering the context to leaving it."""

    def __init__(self) -> None:
        self.name = f"edged-differential-{os.getpid()}"
        self.router, self.around = f"{self.name}-router", f"{self.name}-world"
        self._serial = 0
        self._sockets = ExitStack()

    def __enter__(self) -> Self:
        _remove_leftovers()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._remove()

    def _build(self) -> None:
        _run("ip", "netns", "add", self.router)
        _run("ip", "netns", "add", self.around)
        netns.set_sysctls(self.router, _SYSCTLS)
        netns.set_sysctls(self.around, {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"})
        _run("ip", "-n", self.router, "-batch", "-", given="\n".join(self._links()))
        for family, prefix in (("-4", "192.0.0."), ("-6", "fe80::")):
            _run("ip", "-n", self.router, family, "-batch", "-", given="\n".join(_ways_out(prefix)))
        _run("ip", "-n", self.around, "-batch", "-", given="\n".join(f"link set {name} up" for name in INTERFACES))
        self.nft(TRACER)
        netns.set_sysctls(self.router, _CONNTRACK)
        self.kernel = self._sockets.enter_context(closing(LinuxKernel(self.router, clock=lambda: NOW)))
        self.queue = self.kernel.capabilities().queue
        self.traces = self._sockets.enter_context(open_traces(self.router))
        self.asked = self._sockets.enter_context(netns.open_socket(self.router, socket.AF_NETLINK, socket.SOCK_RAW, 12))
        self._out = {name: self._packet_socket(self.around, name) for name in INTERFACES}
        self._ends = {name: self._packet_socket(self.router, name) for name in INTERFACES}
        self._heard = self._sockets.enter_context(
            netns.open_socket(self.around, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        )
        self._heard.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self._heard.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._heard.settimeout(5)
        self.traces.setblocking(False)

    def _links(self) -> Iterator[str]:
        yield "link set lo up"
        for number, name in enumerate(INTERFACES):
            peer = f"peer name {name} address {_mac(number, 2)} netns {self.around}"
            yield f"link add {name} address {_mac(number, 1)} type veth {peer}"
            yield f"link set {name} up"

    def _packet_socket(self, namespace: str, interface: str) -> socket.socket:
        opened = self._sockets.enter_context(netns.open_socket(namespace, socket.AF_PACKET, socket.SOCK_RAW))
        opened.bind((interface, 0))
        return opened

    def _remove(self) -> None:
        self._sockets.close()
        for name in (self.router, self.around):
            if (NAMESPACES / name).exists():
                _run("ip", "netns", "delete", name)

    def nft(self, text: str) -> None:
        """Loads text by the nft command in the router."""
        _run("ip", "netns", "exec", self.router, "nft", "-f", "-", given=text)

    def forget_connections(self) -> None:
        """Empties the router's conntrack."""
        flush_conntrack(self.asked)

    def marks(self) -> dict[Key, int]:
        """The marks of the router's connections that have one; what has no ports that the shots tell apart is at port 0."""
        return {
            (protocol, source, destination) if protocol in _WITH_PORTS else (protocol, (source[0], 0), (destination[0], 0)): mark
            for (protocol, source, destination), mark in connections(self.asked).items()
            if mark
        }

    def fire(self, shots: Iterable[Shot], table: str | None) -> Observed:
        """Sends the shots, one after another, and tells what the kernel did with each. `table` is the one under test."""
        fired = list(shots)
        self._serial = (self._serial + 1) % (1 << 16)
        names = self._comments(FOREIGN) | (self._comments(table) if table else {})
        for shot in fired:
            way = INTERFACES.index(shot.came_in)
            kind = 0x0800 if shot.source.version == 4 else 0x86DD
            frame = bytes.fromhex(_mac(way, 1).replace(":", "")) + bytes.fromhex(_mac(way, 2).replace(":", ""))
            for datagram in shot.datagrams(self._serial):
                self._out[shot.came_in].send(frame + struct.pack("!H", kind) + datagram)
        observed = Observed({shot.number: Seen() for shot in fired}, set())
        self._hear(observed)
        self._read_traces(observed, names, table)
        return observed

    def _comments(self, table: str) -> dict[tuple[str, int], str]:
        """The names of the rules of a table, by table and handle; of edged's own comments the rule's name."""
        return {
            (table, handle): match[1] if (match := _OURS.fullmatch(comment)) else comment
            for handle, comment in rule_comments(self.asked, table).items()
        }

    def _hear(self, observed: Observed) -> None:
        for number, name in enumerate(INTERFACES):
            ends = bytes.fromhex(_mac(number, 2).replace(":", "")) + bytes(6) + struct.pack("!H", _END_OF_CAPTURE)
            self._ends[name].send(ends.ljust(60, b"\0"))
        open_ends = set(INTERFACES)
        while open_ends:
            frame, (interface, kind, *_) = self._heard.recvfrom(2048)
            if kind == _END_OF_CAPTURE:
                open_ends.discard(interface)
            elif (about := _prohibited(frame[14:])) is not None:
                observed.prohibited.add(about)
            elif (heard := number_of(frame[14:])) is None:
                observed.resets.update(_reset(frame[14:]))
            elif heard in observed.shots:
                observed.shots[heard].left_by.add(interface)

    def _read_traces(self, observed: Observed, names: dict[tuple[str, int], str], table: str | None) -> None:
        reader = TraceReader()
        begun: list[Trace] = []
        try:
            while True:
                begun += reader.read(self.traces.recv(1 << 16))  # ENOBUFS would raise: nothing is lost in silence
        except BlockingIOError:
            pass  # events are queued while the packet is in the router, and the last packet has left it
        for trace in begun:
            traced = number_of(trace.header)
            assert traced in observed.shots, f"a trace of a packet that was not sent: {trace}"
            seen = observed.shots[traced]
            matched = [names[trace.table, handle] for handle in trace.handles]
            if trace.table == FOREIGN:
                seen.foreign += matched
            else:
                assert trace.table == table
                seen.traced += 1
                seen.rules += matched


def _ways_out(prefix: str) -> Iterator[str]:
    """A way out for each mark, and the way of the router's own resets."""
    for number, name in enumerate(INTERFACES):
        via = f"{prefix}{8 + number}"
        yield f"neigh replace {via} lladdr {_mac(number, 2)} dev {name} nud permanent"
        yield f"route add default via {via} dev {name} onlink table {100 + number}"
        yield f"rule add fwmark {0xE0 + number:#x} lookup {100 + number}"
    yield f"route add default via {prefix}8 dev {INTERFACES[0]} onlink"


def number_of(datagram: bytes) -> int | None:
    """The number of the shot that this IP packet is; None where it is none."""
    if datagram[:1] and datagram[0] >> 4 == 4 and datagram[1] >> 2 & OURS:
        return int(struct.unpack_from("!H", datagram, 4)[0])
    if datagram[:1] and datagram[0] >> 4 == 6:
        word = struct.unpack_from("!I", datagram)[0]
        return word & 0xFFFFF if word >> 22 & OURS else None
    return None


def _reset(datagram: bytes) -> set[tuple[bytes, bytes, int, int]]:
    """The ends of a TCP reset, where the packet is one."""
    version = datagram[0] >> 4 if datagram else 0
    if version == 4 and datagram[9] == 6:
        source, destination, segment = datagram[12:16], datagram[16:20], datagram[(datagram[0] & 15) * 4 :]
    elif version == 6 and datagram[6] == 6:
        source, destination, segment = datagram[8:24], datagram[24:40], datagram[40:]
    else:
        return set()
    return {(source, destination, *struct.unpack_from("!HH", segment))} if segment[13] & 4 else set()


def _prohibited(datagram: bytes) -> int | None:
    """The number of the shot that this packet says is administratively prohibited; None where it says no such thing."""
    if datagram[:1] and datagram[0] >> 4 == 4 and datagram[9] == ICMP:
        head = (datagram[0] & 15) * 4
        return number_of(datagram[head + 8 :]) if datagram[head : head + 2] == bytes((3, 13)) else None
    if datagram[:1] and datagram[0] >> 4 == 6 and datagram[6] == ICMPV6:
        return number_of(datagram[48:]) if datagram[40:42] == bytes((1, 1)) else None
    return None


def _mac(link: int, end: int) -> str:
    return f"02:00:00:00:{link:02x}:{end:02x}"


def _run(*argv: str, given: str | None = None) -> None:
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"


def _remove_leftovers() -> None:
    """Removes the namespaces of runs whose process is gone."""
    for path in NAMESPACES.glob("edged-differential-*"):
        if not Path("/proc", path.name.split("-")[2]).exists():
            _run("ip", "netns", "delete", path.name)
