"""One contract, two kernels: the connections that rules have marked, in memory and in conntrack."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Protocol

import pytest

from edged.addresses import Family
from edged.errors import KernelError
from edged.kernel.attrs import nest
from edged.kernel.flows import Flows, LinuxFlows
from edged.kernel.flowsfake import FakeFlows
from edged.kernel.uapi import CtAttr
from edged.lab import netns
from edged.tracked import End, Tracked, Volume
from tests.netns.differential.netfilter import NETLINK_NETFILTER, flush_conntrack
from tests.tiers import missing_for_namespaces, require

MASK, LARGE, BULK = 0x00070000, 0x00040000, 0x00030000
FOREIGN = 0xA5_00_00_5A  # bits of the marks that are somebody else's
UDP = 17
HOST = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
DOMAIN = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
HEADERS = {Family.IPV4: 28, Family.IPV6: 48}  # IP's and UDP's
CLIENT = 40_000  # the port that all flows come from
FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)
_numbers = itertools.count()


class FlowMachine(Protocol):
    """A host with UDP flows to itself."""

    @property
    def flows(self) -> Flows:
        """Its connections."""

    def begin(self, family: Family, port: int, mark: int) -> None:
        """A flow to a port comes up with that mark, by one datagram without payload."""

    def send(self, family: Family, port: int, size: int) -> None:
        """The flow carries a datagram with so much payload."""

    def answer(self, family: Family, port: int, size: int) -> None:
        """The same the other way."""

    def forget(self) -> None:
        """All connections end."""

    def remove(self) -> None:
        """The machine is gone."""


class FakeFlowMachine:
    def __init__(self) -> None:
        self.flows = FakeFlows()

    def begin(self, family: Family, port: int, mark: int) -> None:
        address, none = int(ip_address(HOST[family])), Volume(0, 0)
        ends = End(address, CLIENT), End(address, port)
        self.flows.begin(Tracked(family, UDP, *ends, mark, none, none, next(_numbers), self._key(family, port)))
        self.send(family, port, 0)

    def send(self, family: Family, port: int, size: int) -> None:
        self.flows.move(self._key(family, port), Volume(1, HEADERS[family] + size), Volume(0, 0))

    def answer(self, family: Family, port: int, size: int) -> None:
        self.flows.move(self._key(family, port), Volume(0, 0), Volume(1, HEADERS[family] + size))

    def forget(self) -> None:
        for flow in self.flows.marked(0, 0):
            self.flows.end(flow.key)

    def remove(self) -> None:
        pass

    @staticmethod
    def _key(family: Family, port: int) -> bytes:
        return f"{family.value} {port}".encode()


class LinuxFlowMachine:
    def __init__(self) -> None:
        self.name = f"edgedfl{os.getpid()}n{next(_numbers)}"
        self._run("ip", "netns", "add", self.name)
        self._run("ip", "-n", self.name, "link", "set", "lo", "up")
        self.nft("chain sent {\n type filter hook output priority 0\n meta mark != 0 ct mark set meta mark\n }")
        # there is no such switch before the first rule has loaded conntrack
        netns.set_sysctls(self.name, {"net/netfilter/nf_conntrack_acct": "1"})
        self.flows = LinuxFlows(self.name)
        self._stack = ExitStack()
        self._clients = {family: self._bound(family, CLIENT) for family in Family}
        self._servers: dict[tuple[Family, int], socket.socket] = {}

    def _run(self, *command: str, script: str = "") -> None:
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")

    def nft(self, chain: str) -> None:
        """A chain more."""
        self._run("ip", "netns", "exec", self.name, "nft", "-f", "-", script=f"table inet marking {{\n {chain}\n }}\n")

    def _bound(self, family: Family, port: int) -> socket.socket:
        made = self._stack.enter_context(netns.open_socket(self.name, DOMAIN[family], socket.SOCK_DGRAM))
        made.bind((HOST[family], port))
        made.settimeout(5)
        return made

    def listen(self, family: Family, port: int) -> None:
        """Somebody is at that port."""
        self._servers[family, port] = self._bound(family, port)

    def begin(self, family: Family, port: int, mark: int) -> None:
        client = self._clients[family]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", mark))
        if (family, port) not in self._servers:
            self.listen(family, port)
        client.sendto(b"", (HOST[family], port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", 0))

    def send(self, family: Family, port: int, size: int) -> None:
        self._clients[family].sendto(bytes(size), (HOST[family], port))

    def answer(self, family: Family, port: int, size: int) -> None:
        self._servers[family, port].sendto(bytes(size), (HOST[family], CLIENT))

    def forget(self) -> None:
        with netns.open_socket(self.name, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as asked:
            flush_conntrack(asked)

    def remove(self) -> None:
        self._stack.close()
        self._run("ip", "netns", "delete", self.name)


@pytest.fixture
def linux() -> Iterator[LinuxFlowMachine]:
    if reason := missing_for_namespaces():
        require("netns", reason)
    made = LinuxFlowMachine()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["fake", "linux"])
def machine(request: pytest.FixtureRequest) -> Iterator[FlowMachine]:
    if request.param == "fake":
        yield FakeFlowMachine()
    else:
        yield request.getfixturevalue("linux")


def ports(machine: FlowMachine, mask: int = MASK, value: int = LARGE) -> list[tuple[str, int]]:
    return sorted((flow.family.label, flow.responder.port) for flow in machine.flows.marked(mask, value))


def the_one(machine: FlowMachine, value: int = LARGE) -> Tracked:
    (flow,) = machine.flows.marked(MASK, value)
    return flow


def test_where_nothing_is_marked_nothing_is_found(machine: FlowMachine) -> None:
    machine.begin(Family.IPV4, 1001, FOREIGN)
    assert machine.flows.marked(MASK, LARGE) == ()


def test_flows_are_found_by_some_bits_of_their_marks(machine: FlowMachine) -> None:
    for port, mark in ((1001, LARGE), (1002, LARGE | FOREIGN), (1003, BULK), (1004, FOREIGN), (1005, MASK)):
        for family in Family:
            machine.begin(family, port, mark)
    assert ports(machine) == [("ipv4", 1001), ("ipv4", 1002), ("ipv6", 1001), ("ipv6", 1002)]
    assert ports(machine, MASK, BULK) == [("ipv4", 1003), ("ipv6", 1003)]
    assert ports(machine, FOREIGN, FOREIGN) == [(name, port) for name in ("ipv4", "ipv6") for port in (1002, 1004)]


@FAMILIES
def test_a_flow_is_told_with_its_ends_and_what_it_moved(machine: FlowMachine, family: Family) -> None:
    machine.begin(family, 1001, LARGE | FOREIGN)
    flow, address, head = the_one(machine), int(ip_address(HOST[family])), HEADERS[family]
    assert (flow.family, flow.protocol, flow.mark) == (family, UDP, LARGE | FOREIGN)
    assert (flow.originator, flow.responder) == (End(address, CLIENT), End(address, 1001))
    assert (flow.original, flow.reply) == (Volume(1, head), Volume(0, 0))
    machine.send(family, 1001, 1000)
    machine.answer(family, 1001, 200)
    machine.answer(family, 1001, 0)
    moved = the_one(machine)
    assert (moved.original, moved.reply) == (Volume(2, 2 * head + 1000), Volume(2, 2 * head + 200))
    assert (moved.id, moved.key) == (flow.id, flow.key)


def test_marking_changes_the_bits_of_the_mask_alone_and_of_those_flows_alone(machine: FlowMachine) -> None:
    for family in Family:
        machine.begin(family, 1001, LARGE | FOREIGN)
        machine.begin(family, 1002, LARGE | FOREIGN)
    machine.flows.mark([flow for flow in machine.flows.marked(MASK, LARGE) if flow.responder.port == 1001], MASK, BULK)
    assert ports(machine) == [("ipv4", 1002), ("ipv6", 1002)]
    assert {flow.mark for flow in machine.flows.marked(MASK, BULK)} == {BULK | FOREIGN}
    assert ports(machine, MASK, BULK) == [("ipv4", 1001), ("ipv6", 1001)]
    machine.flows.mark(machine.flows.marked(MASK, BULK), MASK, 0)
    assert ports(machine, MASK | FOREIGN, FOREIGN) == [("ipv4", 1001), ("ipv6", 1001)]


def test_a_marked_flow_goes_on_as_it_was(machine: FlowMachine) -> None:
    machine.begin(Family.IPV4, 1001, LARGE)
    machine.flows.mark(machine.flows.marked(MASK, LARGE), MASK, BULK)
    machine.send(Family.IPV4, 1001, 72)
    assert the_one(machine, BULK).original == Volume(2, 128)


def test_a_flow_that_is_gone_is_passed_over(machine: FlowMachine) -> None:
    for port in (1001, 1002, 1003):
        machine.begin(Family.IPV6, port, LARGE)
    before = machine.flows.marked(MASK, LARGE)
    machine.forget()
    machine.begin(Family.IPV6, 1002, LARGE)
    machine.flows.mark(before, MASK, BULK)
    assert ports(machine) == []
    assert ports(machine, MASK, BULK) == [("ipv6", 1002)]


def test_marking_nothing_is_no_error(machine: FlowMachine) -> None:
    machine.flows.mark((), MASK, BULK)


def test_a_value_outside_of_its_mask_is_refused(machine: FlowMachine) -> None:
    machine.begin(Family.IPV4, 1001, LARGE)
    with pytest.raises(ValueError, match="not within 0x70000: 0x1030000"):
        machine.flows.mark(machine.flows.marked(MASK, LARGE), MASK, BULK | 0x01000000)
    assert the_one(machine).mark == LARGE


def test_the_ends_are_those_behind_nat(linux: LinuxFlowMachine) -> None:
    linux.nft("chain moved {\n type nat hook output priority -100\n udp dport 1001 dnat ip to 127.0.0.1:2002\n }")
    linux.nft("chain hidden {\n type nat hook postrouting priority 100\n udp dport 2002 snat ip to 127.0.0.9:3003\n }")
    linux.begin(Family.IPV4, 1001, LARGE)
    flow, host = the_one(linux), int(ip_address("127.0.0.1"))
    assert (flow.originator, flow.responder) == (End(host, CLIENT), End(host, 2002))
    linux.flows.mark([flow], MASK, BULK)
    assert the_one(linux, BULK).key == flow.key


def test_a_flow_in_a_zone_of_its_own_is_found_and_marked(linux: LinuxFlowMachine) -> None:
    linux.nft("chain zoned {\n type filter hook output priority -300\n udp dport 1001 ct zone set 7\n }")
    linux.begin(Family.IPV4, 1001, LARGE)
    linux.flows.mark([the_one(linux)], MASK, BULK)
    assert ports(linux, MASK, BULK) == [("ipv4", 1001)]


def test_thousands_are_marked_in_one_call_though_some_are_gone(linux: LinuxFlowMachine) -> None:
    count = 1_500
    for port in range(2_000, 2_000 + count):
        linux._clients[Family.IPV4].setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", LARGE))
        linux.send(Family.IPV4, port, 0)
    before = linux.flows.marked(MASK, LARGE)
    assert len(before) == len({flow.key for flow in before}) == count
    linux.forget()
    for port in range(2_000, 2_000 + count, 2):
        linux.send(Family.IPV4, port, 0)
    linux.flows.mark(before, MASK, BULK)
    assert len(linux.flows.marked(MASK, BULK)) == count // 2


def test_what_the_kernel_refuses_is_told_without_an_address(linux: LinuxFlowMachine) -> None:
    linux.begin(Family.IPV4, 1001, LARGE)
    broken = the_one(linux)._replace(key=nest(CtAttr.TUPLE_ORIG))
    with pytest.raises(KernelError, match="marks of connections") as refused:
        linux.flows.mark([broken], MASK, BULK)
    assert refused.value.errno == errno.EINVAL
    assert "127.0.0" not in str(refused.value)
    assert the_one(linux).mark == LARGE, "and the next question is answered"


def test_a_namespace_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KernelError, match="edged-not-there"):
        LinuxFlows("edged-not-there").marked(MASK, LARGE)
