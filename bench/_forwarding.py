"""A router between two veth pairs, and one thread that sends packets through it: for the benchmarks of what a packet pays."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_address

from bench._namespaces import ip, namespace
from edged.addresses import Address, Family
from edged.lab.netns import open_socket, set_sysctls
from tests.netns.differential.shots import ACK, Tcp, checksum, transport

FLOWS = 512
BATCHES = 24  # of 512 packets each way, a form and round
MACS = {"lan0": "02:00:00:00:00:01", "wan0": "02:00:00:00:01:01"}
ELSEWHERE = "02:00:00:00:99:99"


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr, of sendmmsg(2)."""

    _fields_ = (("header", _Header), ("sent", ctypes.c_uint))


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class Volley:
    """Frames that one system call sends out of one interface of the world."""

    def __init__(self, outlet: socket.socket, frames: list[bytes]) -> None:
        self._outlet = outlet.fileno()
        self._vectors = (_Vector * len(frames))(*(_Vector(frame, len(frame)) for frame in frames))
        at = ctypes.addressof(self._vectors)
        size = ctypes.sizeof(_Vector)
        self._messages = (_Message * len(frames))(
            *(_Message(_Header(None, 0, at + place * size, 1, None, 0, 0), 0) for place in range(len(frames)))
        )
        self._libc = ctypes.CDLL(None, use_errno=True)

    def fire(self) -> None:
        """Send them all; raises OSError where the kernel would not take one."""
        done = self._libc.sendmmsg(self._outlet, self._messages, len(self._messages), 0)
        if done != len(self._messages):
            raise OSError(ctypes.get_errno(), f"sendmmsg sent {done} of {len(self._messages)}")


def near_addresses(family: Family) -> list[Address]:
    """Dynamic subscribers, in all 64 prefixes where those are measured; the far end is one web server."""
    if family is Family.IPV4:
        return [ip_address("100.64.0.9") + (place % 64) * 0x10000 for place in range(FLOWS)]
    return [ip_address("2001:db8:d::9") + (place << 64) for place in range(FLOWS)]


def web_server(family: Family) -> Address:
    """The far end that nothing is said of."""
    return ip_address("192.0.2.80" if family is Family.IPV4 else "2001:db8:a::80")


def frames(family: Family, target: dict[str, str], far: Sequence[Address] = ()) -> dict[str, list[bytes]]:
    """The packets of every flow up and down, in Ethernet frames to the target's addresses; `far` are the far ends in turn."""
    ends = far or (web_server(family),)
    made: dict[str, list[bytes]] = {"lan0": [], "wan0": []}
    for place, near in enumerate(near_addresses(family)):
        end = ends[place % len(ends)]
        made["lan0"].append(frame(target["lan0"], near, end, Tcp(20000 + place, 443, ACK, seq=1000, ack=5000)))
        made["wan0"].append(frame(target["wan0"], end, near, Tcp(443, 20000 + place, ACK, seq=5000, ack=1000)))
    return made


def frame(mac: str, source: Address, destination: Address, segment: Tcp) -> bytes:
    """One packet in an Ethernet frame."""
    return ethernet(mac, _datagram(source, destination, transport(segment, source, destination)))


def ethernet(mac: str, packet: bytes) -> bytes:
    """An IP packet in an Ethernet frame to that station."""
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return bytes.fromhex(mac.replace(":", "")) + b"\x02" * 6 + kind + packet


def _datagram(source: Address, destination: Address, segment: bytes) -> bytes:
    if source.version == 6:
        return bytes((0x60, 0, 0, 0, 0, len(segment), 6, 64)) + source.packed + destination.packed + segment
    head = bytes((0x45, 0, 0, 20 + len(segment), 0, 0, 0, 0, 64, 6, 0, 0)) + source.packed + destination.packed
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + segment


class Router:
    """The router's namespace, with one form of the policy at a time."""

    def __init__(self, netns: str) -> None:
        self._argv = ["ip", "netns", "exec", netns]

    def run(self, *argv: str, given: str | None = None) -> None:
        """A command in the router; raises CalledProcessError."""
        self.ask(*argv, given=given)

    def ask(self, *argv: str, given: str | None = None) -> str:
        """What a command in the router says; raises CalledProcessError."""
        return subprocess.run([*self._argv, *argv], input=given, text=True, check=True, capture_output=True).stdout

    def clear(self) -> None:
        """No rule of anyone."""
        self.run("nft", "flush", "ruleset")

    def load_nft(self, text: str) -> None:
        """Text in the language of nft."""
        self.run("nft", "-f", "-", given=text)


def nanoseconds(volleys: list[Volley], batches: int = BATCHES) -> float:
    """CPU time a packet."""
    began = time.process_time_ns()
    for _ in range(batches):
        for volley in volleys:
            volley.fire()
    return (time.process_time_ns() - began) / (batches * len(volleys) * FLOWS)


def build(router: str, around: str) -> None:
    """Two links; the way up and the way down."""
    set_sysctls(router, {f"net/ipv6/conf/{each}/disable_ipv6": "0" for each in ("all", "default")})
    ip(router, *(f"link add {name} address {mac} type veth peer name {name} netns {around}" for name, mac in MACS.items()))
    quiet = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}
    quiet |= {f"net/ipv4/conf/{each}/{key}": "0" for each in ("all", *MACS) for key in ("rp_filter", "send_redirects")}
    set_sysctls(router, quiet)
    set_sysctls(around, {"net/ipv6/conf/all/disable_ipv6": "1"})
    for netns in (router, around):
        ip(netns, *(f"link set {name} up" for name in ("lo", *MACS)))
    for number, name in enumerate(MACS):
        pools = ("100.64.0.0/10", "2001:db8:d::/48") if name == "lan0" else ("default", "::/0")
        for via, pool in zip((f"192.0.0.{8 + number}", f"fe80::{8 + number}"), pools, strict=True):
            ip(router, f"neigh replace {via} lladdr 02:00:00:00:0{number}:02 dev {name} nud permanent")
            ip(router, f"route add {pool} via {via} dev {name} onlink")


@contextmanager
def routed() -> Iterator[tuple[str, dict[str, socket.socket]]]:
    """The router's namespace, and the sockets that send out of the world's ends; from now on this thread keeps to one CPU."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with namespace("router") as router, namespace("world") as around, ExitStack() as opened:
        build(router, around)
        outlets = {name: opened.enter_context(closing(open_socket(around, socket.AF_PACKET, socket.SOCK_RAW))) for name in MACS}
        for name, outlet in outlets.items():
            outlet.bind((name, 0))
        yield router, outlets
