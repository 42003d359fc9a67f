"""Blocklists by real packets through the throw-away gateway: what is listed, what stands beside it, and open connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

import pytest

from edged.addresses import Address, Family, Prefix
from edged.enforce import enforce
from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Host, Topology
from edged.policies import Blocklist, Op25b
from edged.ruleset.plan import Desired
from edged.ruleset.sets import AddressSet, PrefixSet
from edged.ruleset.tree import Table
from tests.gateway import SITE, entries, make, table_of
from tests.netns.differential.shots import ACK, FIN, RST, SYN, Echo, Form, Shot, Tcp, Udp, Unreachable
from tests.netns.differential.world import number_of
from tests.netns.topology import INET
from tests.promises import Measured

FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)
ETHERTYPE = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}  # linux/if_ether.h
FORMS: tuple[Form, ...] = (Tcp(40000, 443), Udp(40000, 4500), Echo(request=True, ident=7))
SHORTEST = {Family.IPV4: 8, Family.IPV6: 19}


def policy(**settings: object) -> Blocklist:
    made = make(Blocklist, lists=[{"name": "bad", "path": "bad.txt"}], **settings)
    assert isinstance(made, Blocklist)
    return made


def blocking(listed: Sequence[str], blocklist: Blocklist | None = None, never_block: Sequence[str] = ()) -> Table:
    site = replace(SITE, lists={"bad": entries(*listed)}, never_block=tuple(map(ip_network, never_block)))
    return table_of([blocklist or policy(), make(Op25b)], site, int(time.time()))


class Gateway:
    """The gateway of a topology, with routes to everywhere."""

    def __init__(self, topology: Topology, kernel: LinuxKernel) -> None:
        self.topology = topology
        self.kernel = kernel
        netns = topology.gateway
        netns.run(["ip", "route", "replace", "default", "via", str(topology.outside.ipv4), "dev", "wan0"], check=True)
        netns.run(["ip", "-6", "route", "replace", "default", "via", str(topology.outside.ipv6), "dev", "wan0"], check=True)

    def put(self, table: Table) -> None:
        enforce(self.kernel, Desired(table), time.time)

    def counted(self) -> Mapping[str, int]:
        return {name: value.packets for name, value in self.kernel.counters().items() if value.packets}


@pytest.fixture
def gateway(topology: Topology) -> Iterator[Gateway]:
    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        yield Gateway(topology, kernel)


def passing(sender: Host, receiver: Host, shots: Sequence[Shot], end: Shot) -> set[int]:
    """The numbers of the shots that came to the receiver; `end` is one that must come, and says that none will follow."""
    family = Family.of(end.source)
    with (
        # packet(7): a socket for one protocol, unlike one for all, does not see what the host itself sends
        receiver.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE[family])) as capture,
        sender.socket(INET[family], socket.SOCK_RAW, socket.IPPROTO_RAW) as outlet,
    ):
        capture.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        for each in (*shots, end):
            for datagram in each.datagrams(serial=each.number):
                outlet.sendto(datagram, (str(each.destination), 0))
        capture.settimeout(10)
        seen: set[int] = set()
        while end.number not in seen:
            if (number := number_of(capture.recv(2048)[14:])) is not None:
                seen.add(number)
    return seen - {end.number}


def entry_of(family: Family, length: int) -> Prefix:
    """A prefix of that length, with none of another length's beside it: every second block of the address space."""
    place = 2 * (length - SHORTEST[family])
    top = (20 + place) << 24 if family is Family.IPV4 else (0x2400 + place) << 112
    pattern = int.from_bytes(b"\x5a" * (family.bits // 8), "big") & ((1 << (24 if family is Family.IPV4 else 112)) - 1)
    network = (top | pattern) & ~((1 << (family.bits - length)) - 1)
    return ip_network((network, length))


def asked(prefix: Prefix) -> dict[Address, bool]:
    """The addresses to try of a prefix, and whether they are in it."""
    first, last = prefix[0], prefix[-1]
    inside = dict.fromkeys((first, prefix[prefix.num_addresses // 2], last), True)
    return {**inside, first - 1: False, last + 1: False}


def tries(near: Address, family: Family, lengths: Sequence[int], way: tuple[str, str]) -> Iterator[tuple[Shot, bool]]:
    """Shots up or down, and whether each must be stopped."""
    number = 0
    for length in lengths:
        for far, listed in asked(entry_of(family, length)).items():
            for form in FORMS:
                number += 1
                source, destination = (near, far) if way[0] == "lan0" else (far, near)
                yield Shot(number, *way, source, destination, form), listed


def check_lengths(gateway: Gateway, family: Family, lengths: Sequence[int]) -> None:
    """First, middle and last address of each length's entry are stopped both ways, and what stands beside them is not."""
    lan, outside = gateway.topology.dynamic, gateway.topology.outside
    near, far = lan.address(family), gateway.topology.web.address(family)
    for sender, receiver, way in ((lan, outside, ("lan0", "wan0")), (outside, lan, ("wan0", "lan0"))):
        found = {shot.number: (shot, listed) for shot, listed in tries(near, family, lengths, way)}
        ends = (near, far) if way[0] == "lan0" else (far, near)
        end = Shot(65000, *way, *ends, Udp(9, 9))
        passed = passing(sender, receiver, [shot for shot, _ in found.values()], end)
        wrong = [shot for number, (shot, listed) in found.items() if (number in passed) is listed]
        assert not wrong, wrong[:5]


@FAMILIES
def test_bl3_entries_of_every_length_in_ranges(gateway: Gateway, family: Family) -> None:
    """One of each length: so few of so many lengths share one set of ranges."""
    lengths = range(SHORTEST[family], family.bits + 1)
    table = blocking([str(entry_of(family, length)) for length in lengths])
    assert [type(each) for each in table.sets if each.name.startswith("blocklist")] == [AddressSet]
    gateway.put(table)
    for first in range(lengths[0], lengths[-1] + 1, 40):
        check_lengths(gateway, family, range(first, min(first + 40, lengths[-1] + 1)))


@FAMILIES
def test_bl3_entries_of_every_length_in_hash_sets(gateway: Gateway, family: Family) -> None:
    lengths = range(SHORTEST[family], family.bits + 1)
    for first in range(lengths[0], lengths[-1] + 1, 3):
        some = range(first, min(first + 3, lengths[-1] + 1))
        table = blocking([str(entry_of(family, length)) for length in some])
        assert {type(each) for each in table.sets if each.name.startswith("blocklist")} == {PrefixSet}
        gateway.put(table)
        check_lengths(gateway, family, some)


@FAMILIES
def test_observe_counts_what_is_listed_and_passes_it(gateway: Gateway, family: Family) -> None:
    lan, web = gateway.topology.dynamic, gateway.topology.web
    gateway.put(blocking([str(web.address(family))], policy(mode="observe")))
    shots = [Shot(n, "lan0", "wan0", lan.address(family), web.address(family), Udp(40000, 4500)) for n in (1, 2, 3)]
    end = Shot(9, "lan0", "wan0", lan.address(family), gateway.topology.resolver.address(family), Udp(9, 9))
    assert passing(lan, web, shots, end) == {1, 2, 3}
    # what comes back is that nobody listens on that port
    assert gateway.counted() == {f"blocklist_{way}_{family.value}_observe": 3 for way in ("up", "down")}


@FAMILIES
def test_allow_and_never_block_win_over_the_list(gateway: Gateway, family: Family) -> None:
    at = gateway.topology
    lan, web, own_mail, foreign = (host.address(family) for host in (at.dynamic, at.web, at.own_mail, at.foreign_mail))
    gateway.put(blocking([str(web), str(own_mail), str(foreign)], policy(allow=[str(web)]), never_block=[str(own_mail)]))
    end = Shot(9, "lan0", "wan0", lan, at.resolver.address(family), Udp(9, 9))
    shots = [Shot(n, "lan0", "wan0", lan, far, Udp(40000, 4500)) for n, far in enumerate((web, own_mail, foreign), start=1)]
    assert passing(at.dynamic, at.outside, shots, end) == {1, 2}
    back = [Shot(n, "wan0", "lan0", far, lan, Udp(4500, 40001)) for n, far in enumerate((web, own_mail, foreign), start=1)]
    end = Shot(9, "wan0", "lan0", end.destination, lan, Udp(9, 9))
    assert passing(at.outside, at.dynamic, back, end) == {1, 2}


@FAMILIES
def test_an_allowed_address_still_has_port_25_closed(gateway: Gateway, family: Family) -> None:
    at = gateway.topology
    gateway.put(blocking([str(at.foreign_mail.address(family))], policy(allow=[str(at.foreign_mail.address(family))])))
    with at.dynamic.socket(INET[family], socket.SOCK_STREAM) as client:
        client.settimeout(2)
        with pytest.raises(ConnectionRefusedError):
            client.connect((str(at.foreign_mail.address(family)), 25))


@FAMILIES
def test_reject_tells_the_subscriber_at_once(gateway: Gateway, family: Family) -> None:
    at = gateway.topology
    gateway.put(blocking([str(at.web.address(family))], policy(action="reject")))
    with at.dynamic.socket(INET[family], socket.SOCK_STREAM) as client:
        client.settimeout(2)
        with pytest.raises(ConnectionRefusedError):
            client.connect((str(at.web.address(family)), 443))
    with at.dynamic.socket(INET[family], socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.connect((str(at.web.address(family)), 4500))
        client.send(b"x")
        with pytest.raises(OSError, match=r"No route to host|Permission denied"):  # ICMP: administratively prohibited
            client.recv(1)
    assert gateway.counted() == {f"blocklist_up_{family.value}_reject": 2}


STATELESS = {
    "invalid": "",
    "untracked": "table inet theirs { chain raw { type filter hook prerouting priority -300; notrack; }; }",
}


@pytest.mark.promise(19)
@FAMILIES
@pytest.mark.parametrize("foreign", STATELESS.values(), ids=STATELESS)
def test_bl1_what_has_no_connection_is_looked_up_always(
    gateway: Gateway, foreign: str, family: Family, measured: Measured
) -> None:
    """The trap of a shortcut by mark: without a connection there is no mark that could say anything."""
    at = gateway.topology
    if foreign:
        at.gateway.run(["nft", foreign], check=True)
    gateway.put(blocking([str(at.web.address(family))]))
    near, listed, other = (host.address(family) for host in (at.dynamic, at.web, at.resolver))
    odd = [Tcp(40000, 443, flags, good_checksum=good) for flags in (RST, FIN, 0, SYN | FIN, ACK) for good in (True, False)]
    for sender, receiver, way in ((at.dynamic, at.outside, ("lan0", "wan0")), (at.outside, at.dynamic, ("wan0", "lan0"))):
        shots = []
        for number, (far, form) in enumerate(product((listed, other), odd), start=1):
            source, destination = (near, far) if way[0] == "lan0" else (far, near)
            shots.append(Shot(number, *way, source, destination, form))
        source, destination = (near, other) if way[0] == "lan0" else (other, near)
        end = Shot(65000, *way, source, destination, Udp(9, 9))
        assert passing(sender, receiver, shots, end) == set(range(len(odd) + 1, 2 * len(odd) + 1))
    what = "untracked" if foreign else "INVALID or mid-flow"
    measured(f"blocklist, {family.label}: 0 of {2 * len(odd)} {what} packets of a listed address passed")


@pytest.mark.promise(19)
@FAMILIES
def test_bl2_an_error_about_a_judged_connection_is_judged_by_its_own_addresses(gateway: Gateway, family: Family) -> None:
    """RELATED: it carries the connection's mark, and comes from a listed router; nor does an honest one mark the connection."""
    at = gateway.topology
    near, far, router = (host.address(family) for host in (at.dynamic, at.resolver, at.web))
    about = Udp(40000, 4500)
    opened = Shot(1, "lan0", "wan0", near, far, about)
    back = Udp(9, 9)
    gateway.put(blocking([str(router)]))
    up_end = Shot(65000, "lan0", "wan0", near, far, back)
    assert passing(at.dynamic, at.outside, [opened], up_end) == {1}
    down_end = Shot(65001, "wan0", "lan0", far, near, back)
    error = Shot(2, "wan0", "lan0", router, near, Unreachable(about, far))
    honest = Shot(3, "wan0", "lan0", far, near, Unreachable(about))
    assert passing(at.outside, at.dynamic, [error, honest], down_end) == {3}
    # the connection's far end is listed now; the router's error must not have the connection pass as judged
    gateway.put(blocking([str(far)]))
    end = Shot(65002, "wan0", "lan0", at.own_mail.address(family), near, back)
    error = Shot(4, "wan0", "lan0", router, near, Unreachable(about, far))
    assert passing(at.outside, at.dynamic, [error], end) == {4}
    up_end = Shot(65003, "lan0", "wan0", near, at.own_mail.address(family), back)
    assert passing(at.dynamic, at.outside, [replace(opened, number=5)], up_end) == set()


class Stream:
    """A TCP transfer from a server to a client that goes on until it is closed; when the client last heard of it."""

    def __init__(self, client: Host, server: Host, family: Family, port: int) -> None:
        self.last = 0.0
        self.received = 0
        self._listener = server.socket(INET[family], socket.SOCK_STREAM)
        self._listener.bind((str(server.address(family)), port))
        self._listener.listen()
        self._client = client.socket(INET[family], socket.SOCK_STREAM)
        self._client.bind((str(client.address(family)), 0))
        self._client.settimeout(0.05)
        self._client.connect((str(server.address(family)), port))
        self._served, _ = self._listener.accept()
        self._served.settimeout(0.05)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        block = bytes(20_000)
        while not self._ended.is_set():
            try:
                self._served.send(block)
            except TimeoutError:
                continue
            time.sleep(0.001)

    def _receive(self) -> None:
        while not self._ended.is_set():
            try:
                self.received += len(self._client.recv(1 << 16))
            except TimeoutError:
                continue
            self.last = time.monotonic()

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for each in (self._client, self._served, self._listener):
            each.close()


@pytest.mark.promise(20)
@FAMILIES
def test_bl2_an_open_transfer_stops_and_others_lose_nothing(gateway: Gateway, family: Family, measured: Measured) -> None:
    at = gateway.topology
    some = [f"20.0.{n >> 8}.{n & 255}" for n in range(2000)] + [f"2a00:1::{n:x}" for n in range(2000)]
    gateway.put(blocking(some))
    with ExitStack() as opened:
        listed = opened.enter_context(closing(Stream(at.dynamic, at.web, family, 8443)))
        other = opened.enter_context(closing(Stream(at.dynamic, at.resolver, family, 8443)))
        probe = opened.enter_context(closing(Datagrams(at.dynamic, at.own_mail, family)))
        time.sleep(0.3)
        before = other.received
        assert listed.received
        gateway.put(blocking([*some, str(at.web.address(family))]))
        reloaded = time.monotonic()
        time.sleep(0.6)
        assert listed.last < reloaded + 0.1
        assert other.received > before
        assert other.last > reloaded + 0.4
        assert not probe.lost()
    after = max(0.0, listed.last - reloaded) * 1000
    measured(f"{family.label}: the last bytes came in {after:.1f} ms after the commit; other flows lost nothing")


class Datagrams:
    """Numbered datagrams up and their echoes down, one a millisecond."""

    def __init__(self, client: Host, server: Host, family: Family) -> None:
        self._server = server.socket(INET[family], socket.SOCK_DGRAM)
        self._server.bind((str(server.address(family)), 7000))
        self._server.settimeout(0.2)
        self._client = client.socket(INET[family], socket.SOCK_DGRAM)
        self._client.bind((str(client.address(family)), 0))
        self._client.connect((str(server.address(family)), 7000))
        self._client.settimeout(0.2)
        self._sent = 0
        self._back: set[int] = set()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._echo, self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        while not self._ended.is_set():
            self._client.send(str(self._sent).encode())
            self._sent += 1
            time.sleep(0.001)

    def _echo(self) -> None:
        while True:
            try:
                word, source = self._server.recvfrom(64)
            except TimeoutError:
                if self._ended.is_set():
                    return
                continue
            self._server.sendto(word, source)

    def _receive(self) -> None:
        while True:
            try:
                self._back.add(int(self._client.recv(64)))
            except TimeoutError:
                if self._ended.is_set():
                    return

    def lost(self) -> set[int]:
        """The numbers that did not come back; ends the stream."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        assert self._sent > 100
        return set(range(self._sent)) - self._back

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._server.close()


class Flows:
    """UDP connections of one subscriber to many far addresses, each with a word of its own up and down."""

    def __init__(self, client: Host, server: Host, family: Family, far: Sequence[Address], each: int) -> None:
        device = ["ip", *(("-6",) if family is Family.IPV6 else ())]
        server.run([*device, "-batch", "-"], stdin="".join(f"address add {a}/{family.bits} dev eth0\n" for a in far), check=True)
        self._server = server.socket(INET[family], socket.SOCK_DGRAM)
        # answers go out by the address that was asked: ip(7), ipv6(7)
        level, option = (socket.IPPROTO_IP, 8) if family is Family.IPV4 else (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)
        self._server.setsockopt(level, option, 1)  # 8: IP_PKTINFO
        self._server.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self._server.bind(("", 7001))
        self._server.setblocking(False)
        self._clients = []
        for place in range(each * len(far)):
            opened = client.socket(INET[family], socket.SOCK_DGRAM)
            opened.bind((str(client.address(family)), 20000 + place))
            opened.connect((str(far[place % len(far)]), 7001))
            opened.setblocking(False)
            self._clients.append(opened)
        self.far_of = [far[place % len(far)] for place in range(len(self._clients))]

    def exchange(self, places: Sequence[int]) -> tuple[set[int], set[int]]:
        """Say a word on these connections; those whose word arrived, and those whose answer came back."""
        for place in places:
            self._clients[place].send(place.to_bytes(4, "big"))
        up = set()
        for word, ancillary, source in self._waiting():
            up.add(int.from_bytes(word, "big"))
            self._server.sendmsg([word], ancillary, 0, source)
        down = set()
        for place in places:
            try:
                down.add(int.from_bytes(self._clients[place].recv(16), "big"))
            except BlockingIOError:
                continue
        return up, down

    def _waiting(self) -> Iterator[tuple[bytes, list[tuple[int, int, bytes]], Any]]:
        # on veth a datagram is through to the far socket before send(2) returns
        while True:
            try:
                word, ancillary, _, source = self._server.recvmsg(16, 256)
            except BlockingIOError:
                return
            yield word, ancillary, source

    def close(self) -> None:
        for each in (*self._clients, self._server):
            each.close()


@pytest.mark.promise(20)
@FAMILIES
def test_two_hundred_generations_cut_what_is_listed_and_nothing_else(
    gateway: Gateway, family: Family, measured: Measured
) -> None:
    """1000 open flows to 250 addresses, one more address listed with each of 200 changes; the generation wraps on the way."""
    at = gateway.topology
    base = ip_address("192.0.2.0") if family is Family.IPV4 else ip_address("2001:db8:a:1::")
    at.gateway.run(["ip", "-6", "route", "add", "2001:db8:a:1::/64", "via", str(at.outside.ipv6), "dev", "wan0"], check=True)
    if family is Family.IPV4:
        base = ip_address("192.88.100.0")
    far = [base + n for n in range(1, 251)]
    for n in range(100):  # so that 255 is passed
        gateway.put(blocking([f"20.0.0.{n}", f"2a00::{n:x}"]))
    with closing(Flows(at.dynamic, at.outside, family, far, each=4)) as flows:
        everyone = range(1000)
        assert flows.exchange(everyone) == (set(everyone), set(everyone))
        assert flows.exchange(everyone) == (set(everyone), set(everyone))
        for step in range(1, 201):
            listed = frozenset(far[:step])
            gateway.put(blocking([str(a) for a in listed]))
            # all of them each tenth time, and always those that were just listed, with their neighbours
            tried = everyone if step % 10 == 0 else [n for n in everyone if flows.far_of[n] in far[max(step - 3, 0) : step + 3]]
            alive = {n for n in tried if flows.far_of[n] not in listed}
            assert flows.exchange(tried) == (alive, alive), step
    measured(f"{family.label}: 200 new entries with {len(everyone)} open flows: each cut those to its address and no other")


@pytest.mark.promise(20)
@FAMILIES
def test_a_flow_that_slept_through_255_generations_does_not_escape(gateway: Gateway, family: Family) -> None:
    """Its mark holds a number that comes again, and what it goes to was listed meanwhile."""
    at = gateway.topology
    far = [at.web.address(family)]
    gateway.put(blocking(["20.0.0.1", "2a00::1"]))
    with closing(Flows(at.dynamic, at.outside, family, [], each=0)) as listener, ExitStack() as opened:
        del listener
        client = opened.enter_context(at.dynamic.socket(INET[family], socket.SOCK_DGRAM))
        server = opened.enter_context(at.web.socket(INET[family], socket.SOCK_DGRAM))
        server.bind((str(far[0]), 7002))
        server.settimeout(0.3)
        client.bind((str(at.dynamic.address(family)), 0))
        client.connect((str(far[0]), 7002))
        client.send(b"judged")
        assert server.recv(16) == b"judged"
        marks = at.gateway.run(["conntrack", "-L", "-f", family.label, "-p", "udp"], check=True).stdout
        assert "mark=256" in marks  # generation 1 in bits 8 to 15
        for n in range(255):
            gateway.put(blocking([f"20.0.1.{n}", f"2a00::1:{n:x}", str(far[0])]))
        client.send(b"escaped")
        with pytest.raises(TimeoutError):
            server.recv(16)
