"""What a forwarded packet pays for the shipped policy, beside the same policy as linear nft rules and as iptables rules.

    python -m bench.forwarding [ROUNDS]          (root)

Two namespaces, a router and the world around it, joined by two veth pairs. One thread, on one CPU, sends batches of small TCP
packets of 512 established flows with sendmmsg(2), half of them up and half down. On veth the kernel carries a packet through
the router and out again within that same system call, so the thread's own CPU time is the cost of all of it, whatever else
the machine does. Packets that the router throws away on arrival (for another station) give the sender's own cost, which is
taken off. The forms take turns in each round.

`forwarding` is the router without a rule, `conntrack` one rule that makes the kernel track connections, which edged needs.
"64 prefixes" is the example with 64 separate dynamic prefixes: a small provider's. No NIC and no driver is in these figures.
There is no promise on this page; what is printed is what was seen.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

from bench._linear import iptables, linear_nft
from bench._namespaces import ip, namespace
from edged.addresses import Address, Family
from edged.config.gateway import PoolName
from edged.lab.netns import open_socket, set_sysctls
from edged.loader import Configuration, load
from edged.ruleset.compile import compile_table
from edged.ruleset.render import render
from edged.ruleset.tree import Table
from tests.netns.differential.shots import ACK, Tcp, checksum, transport

FLOWS = 512
BATCHES = 24  # of 512 packets each way, a form and round
CONNTRACK = "table inet tracked { chain c { type filter hook forward priority 0; ct state established; }; }"
EXAMPLE = Path(__file__).parents[1] / "rules" / "edged.yaml"
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


@dataclass(frozen=True)
class Case:
    """A configuration and a family to measure it in."""

    title: str
    family: Family
    table: Table


def cases() -> list[Case]:
    """The shipped example in both families, and with 64 prefixes in IPv4."""
    shipped = load(EXAMPLE, now=datetime.now(UTC))
    now = int(time.time())
    return [
        Case("shipped, IPv4", Family.IPV4, shipped.table(now)),
        Case("shipped, IPv6", Family.IPV6, shipped.table(now)),
        Case("64 prefixes, IPv4", Family.IPV4, _larger(shipped, now)),
    ]


def _larger(shipped: Configuration, now: int) -> Table:
    """Its policies over 64 dynamic prefixes, apart from each other; the measured flows come from all of them."""
    site = shipped.site()
    scattered = tuple(ip_network((int(ip_address("100.64.0.0")) + place * 0x10000, 24)) for place in range(64))
    larger = replace(site, pools={**site.pools, PoolName.DYNAMIC: scattered})
    declared = [each.settings.declare(larger, each.places, now) for each in shipped.policies]
    return compile_table(larger.access, larger.upstream, [larger.declare(), *declared])


def near_addresses(family: Family) -> list[Address]:
    """Dynamic subscribers, in all 64 prefixes where those are measured; the far end is one web server."""
    if family is Family.IPV4:
        return [ip_address("100.64.0.9") + (place % 64) * 0x10000 for place in range(FLOWS)]
    return [ip_address("2001:db8:d::9") + (place << 64) for place in range(FLOWS)]


def frames(family: Family, target: dict[str, str]) -> dict[str, list[bytes]]:
    """The packets of every flow up and down, in Ethernet frames to the target's addresses."""
    far = ip_address("192.0.2.80" if family is Family.IPV4 else "2001:db8:a::80")
    made: dict[str, list[bytes]] = {"lan0": [], "wan0": []}
    for place, near in enumerate(near_addresses(family)):
        up = Tcp(20000 + place, 443, ACK, seq=1000, ack=5000)
        down = Tcp(443, 20000 + place, ACK, seq=5000, ack=1000)
        for interface, source, destination, form in (("lan0", near, far, up), ("wan0", far, near, down)):
            mac = bytes.fromhex(target[interface].replace(":", ""))
            kind = b"\x08\x00" if family is Family.IPV4 else b"\x86\xdd"
            made[interface].append(
                mac + b"\x02" * 6 + kind + _datagram(source, destination, transport(form, source, destination))
            )
    return made


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
        subprocess.run([*self._argv, *argv], input=given, text=True, check=True, capture_output=True)

    def clear(self) -> None:
        """No rule of anyone."""
        self.run("nft", "flush", "ruleset")

    def load_nft(self, text: str) -> None:
        """Text in the language of nft."""
        self.run("nft", "-f", "-", given=text)


def forms(case: Case, router: Router) -> dict[str, Callable[[], None]]:
    """What is compared, and how each is loaded."""
    restore = "iptables-restore" if case.family is Family.IPV4 else "ip6tables-restore"
    found: dict[str, Callable[[], None]] = {
        "forwarding": lambda: None,
        "conntrack": lambda: router.load_nft(CONNTRACK),
        "edged": lambda: router.load_nft(render(case.table, int(time.time()))),
        "linear nft": lambda: router.load_nft(linear_nft(case.table)),
    }
    if shutil.which(restore):
        found["iptables"] = lambda: router.run(restore, given=iptables(case.table, case.family))
    return found


def nanoseconds(volleys: list[Volley]) -> float:
    """CPU time a packet."""
    began = time.process_time_ns()
    for _ in range(BATCHES):
        for volley in volleys:
            volley.fire()
    return (time.process_time_ns() - began) / (BATCHES * len(volleys) * FLOWS)


def measure(case: Case, router: Router, outlets: dict[str, socket.socket], rounds: int) -> dict[str, list[float]]:
    """Each form's cost a packet in each round, the sender's own taken off."""
    through = [Volley(outlets[name], made) for name, made in frames(case.family, MACS).items()]
    thrown = [Volley(outlets[name], made) for name, made in frames(case.family, dict.fromkeys(MACS, ELSEWHERE)).items()]
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        sender = nanoseconds(thrown)
        for name, put in forms(case, router).items():
            router.clear()
            put()
            for volley in through:
                volley.fire()  # the flows are there, the caches warm
            found.setdefault(name, []).append(nanoseconds(through) - sender)
    router.clear()
    return found


def show(case: Case, found: dict[str, list[float]]) -> None:
    """One table; a ratio is taken within each round, in which the machine is most alike, and is the median of those."""
    print(f"\n{case.title:20}{'ns a packet':>14}{'min .. max':>16}{'/ forwarding':>14}{'/ conntrack':>13}")
    for name, each in found.items():
        extent = f"{min(each):.0f} .. {max(each):.0f}"
        ratios = [
            statistics.median(mine / theirs for mine, theirs in zip(each, found[other], strict=True))
            for other in ("forwarding", "conntrack")
        ]
        print(f"{name:20}{statistics.median(each):14.0f}{extent:>16}{ratios[0]:14.2f}{ratios[1]:13.2f}")


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


def main() -> int:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with namespace("router") as router, namespace("world") as around:
        build(router, around)
        outlets = {name: open_socket(around, socket.AF_PACKET, socket.SOCK_RAW) for name in MACS}
        with closing(outlets["lan0"]), closing(outlets["wan0"]):
            for name, outlet in outlets.items():
                outlet.bind((name, 0))
            print(f"{rounds} rounds of {2 * BATCHES * FLOWS} packets a form; CPU time of one core, without a NIC")
            for case in cases():
                show(case, measure(case, Router(router), outlets, rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
