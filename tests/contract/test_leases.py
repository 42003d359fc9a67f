"""One contract, two kernels: the sets and maps of caps, in memory and in nftables."""

from __future__ import annotations

import errno
import itertools
import os
import re
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Protocol

import pytest

from edged.addresses import Family
from edged.errors import KernelError
from edged.kernel.leases import Leases, LinuxLeases
from edged.kernel.leasesfake import FakeLeases
from edged.kernel.nftsocket import NftSocket
from edged.queueing.leases import (
    AddBucket,
    AddLease,
    AddPolice,
    Bucket,
    CapSets,
    LeasedKey,
    PolicedKey,
    RemoveBucket,
    RemoveLease,
    RemovePolice,
)
from edged.queueing.tree import ClassId, Rate
from edged.ruleset.nodes import Direction
from tests.tiers import missing_for_namespaces, require

DOWN = CapSets(Direction.DOWN, "p2p", Family.IPV4)
DOWN6 = CapSets(Direction.DOWN, "p2p", Family.IPV6)
UP = CapSets(Direction.UP, "p2p", Family.IPV4)
ABSENT = CapSets(Direction.UP, "streaming", Family.IPV4)
ALL = (DOWN, DOWN6, UP)
ONE, TWO = (int(ip_address(text)) for text in ("203.0.113.1", "203.0.113.2"))
NETWORK = int(ip_network("2001:db8:d:1::/64").network_address)
BUCKET, OTHER = Bucket("down_p2p_one", Rate(2_000_000)), Bucket("down_p2p_two", Rate(8_000_000))
CLASS, CLASS_2 = ClassId(0xED, 2), ClassId(0xED, 3)
_numbers = itertools.count()


class LeaseMachine(Protocol):
    @property
    def leases(self) -> Leases:
        """The leases there."""

    def mark_heavy(self, sets: CapSets, key: int) -> None:
        """The packet path writes a key into a heavy set."""

    def remove(self) -> None:
        """The machine is gone."""


class FakeMachine:
    def __init__(self) -> None:
        self.leases = FakeLeases(ALL)

    def mark_heavy(self, sets: CapSets, key: int) -> None:
        self.leases.mark_heavy(sets, key)

    def remove(self) -> None:
        pass


def declare(sets: CapSets) -> str:
    kind = "ipv4_addr" if sets.family is Family.IPV4 else "ipv6_addr"
    return (
        f"set {sets.heavy} {{\n type {kind}\n size 65536\n flags dynamic,timeout\n }}\n"
        f"map {sets.lease} {{\n type {kind} : classid\n size 8192\n flags timeout\n }}\n"
        f"map {sets.police} {{\n type {kind} : limit\n size 8192\n flags timeout\n }}\n"
    )


class LinuxMachine:
    def __init__(self) -> None:
        self.name = f"edgedle{os.getpid()}n{next(_numbers)}"
        self._run("ip", "netns", "add", self.name)
        self.nft(f"table inet edged {{\n {''.join(map(declare, ALL))} }}\n")
        self._socket = NftSocket(self.name)
        self.leases = LinuxLeases(self._socket)

    def _run(self, *command: str, script: str = "") -> str:
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def nft(self, script: str) -> str:
        return self._run("ip", "netns", "exec", self.name, "nft", "-f", "-", script=script)

    def mark_heavy(self, sets: CapSets, key: int) -> None:
        self.nft(f"add element inet edged {sets.heavy} {{ {sets.family.address(key)} timeout 5s }}")

    def remove(self) -> None:
        self._socket.close()
        self._run("ip", "netns", "delete", self.name)


@pytest.fixture
def linux() -> Iterator[LinuxMachine]:
    if reason := missing_for_namespaces():
        require("netns", reason)
    made = LinuxMachine()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["fake", "linux"])
def machine(request: pytest.FixtureRequest) -> Iterator[LeaseMachine]:
    if request.param == "fake":
        yield FakeMachine()
    else:
        yield request.getfixturevalue("linux")


def test_heavy_keys_are_read_of_both_families(machine: LeaseMachine) -> None:
    assert machine.leases.heavy(DOWN) == frozenset()
    machine.mark_heavy(DOWN, ONE)
    machine.mark_heavy(DOWN, TWO)
    machine.mark_heavy(DOWN6, NETWORK)
    assert machine.leases.heavy(DOWN) == {ONE, TWO}
    assert machine.leases.heavy(DOWN6) == {NETWORK}
    assert machine.leases.heavy(UP) == frozenset()


def test_what_is_not_in_the_table_is_empty(machine: LeaseMachine) -> None:
    assert machine.leases.heavy(ABSENT) == frozenset()
    assert machine.leases.leased(ABSENT) == ()
    assert machine.leases.policed(ABSENT) == ()


def test_leases_are_written_read_and_taken_back(machine: LeaseMachine) -> None:
    machine.leases.apply((AddLease(DOWN, TWO, CLASS), AddLease(DOWN6, NETWORK, CLASS), AddLease(DOWN, ONE, CLASS_2)))
    assert machine.leases.leased(DOWN) == (LeasedKey(ONE, CLASS_2), LeasedKey(TWO, CLASS))
    assert machine.leases.leased(DOWN6) == (LeasedKey(NETWORK, CLASS),)
    machine.leases.apply((RemoveLease(DOWN, TWO), RemoveLease(DOWN6, NETWORK)))
    assert machine.leases.leased(DOWN) == (LeasedKey(ONE, CLASS_2),)
    assert machine.leases.leased(DOWN6) == ()


def test_a_lease_moves_to_another_class_in_one_batch_whatever_the_order(machine: LeaseMachine) -> None:
    machine.leases.apply((AddLease(DOWN, ONE, CLASS),))
    machine.leases.apply((AddLease(DOWN, ONE, CLASS_2), RemoveLease(DOWN, ONE)))
    assert machine.leases.leased(DOWN) == (LeasedKey(ONE, CLASS_2),)


def test_a_bucket_is_shared_by_keys_of_both_families_and_goes_with_the_last(machine: LeaseMachine) -> None:
    machine.leases.apply((AddPolice(DOWN, ONE, BUCKET.name), AddPolice(DOWN6, NETWORK, BUCKET.name), AddBucket(BUCKET)))
    assert machine.leases.policed(DOWN) == (PolicedKey(ONE, BUCKET.name),)
    assert machine.leases.policed(DOWN6) == (PolicedKey(NETWORK, BUCKET.name),)
    assert machine.leases.buckets() == (BUCKET,)
    machine.leases.apply((RemoveBucket(BUCKET.name), RemovePolice(DOWN, ONE), RemovePolice(DOWN6, NETWORK)))
    assert machine.leases.policed(DOWN) == machine.leases.policed(DOWN6) == ()
    assert machine.leases.buckets() == ()


def test_a_policed_key_moves_to_another_bucket_in_one_batch(machine: LeaseMachine) -> None:
    machine.leases.apply((AddBucket(BUCKET), AddPolice(DOWN, ONE, BUCKET.name)))
    machine.leases.apply((RemoveBucket(BUCKET.name), AddBucket(OTHER), AddPolice(DOWN, ONE, OTHER.name), RemovePolice(DOWN, ONE)))
    assert machine.leases.policed(DOWN) == (PolicedKey(ONE, OTHER.name),)
    assert machine.leases.buckets() == (OTHER,)


@pytest.mark.parametrize(
    ("step", "number"),
    [
        (AddLease(DOWN, ONE, CLASS), errno.EEXIST),
        (AddLease(DOWN, ONE, CLASS_2), errno.EEXIST),
        (RemoveLease(DOWN, TWO), errno.ENOENT),
        (AddLease(ABSENT, ONE, CLASS), errno.ENOENT),
        (AddBucket(Bucket(BUCKET.name, OTHER.rate)), errno.EEXIST),
        (AddPolice(UP, ONE, "nobodys"), errno.ENOENT),
        (AddPolice(DOWN, ONE, BUCKET.name), errno.EEXIST),
        (RemovePolice(DOWN, TWO), errno.ENOENT),
        (RemoveBucket(BUCKET.name), errno.EBUSY),
        (RemoveBucket("nobodys"), errno.ENOENT),
    ],
)
def test_a_refused_step_undoes_its_whole_batch(machine: LeaseMachine, step: AddLease | RemoveLease, number: int) -> None:
    machine.leases.apply((AddLease(DOWN, ONE, CLASS), AddBucket(BUCKET), AddPolice(DOWN, ONE, BUCKET.name)))
    with pytest.raises(KernelError) as refused:
        machine.leases.apply((AddLease(UP, TWO, CLASS_2), step))
    assert refused.value.errno == number
    assert machine.leases.leased(UP) == ()
    assert machine.leases.leased(DOWN) == (LeasedKey(ONE, CLASS),)
    assert machine.leases.buckets() == (BUCKET,)


def test_no_error_names_an_address(linux: LinuxMachine) -> None:
    with pytest.raises(KernelError, match="remove from map lease_down_p2p4") as refused:
        linux.leases.apply((RemoveLease(DOWN, ONE),))
    assert "203.0.113" not in str(refused.value)


def test_what_is_written_is_what_nft_shows(linux: LinuxMachine) -> None:
    linux.leases.apply((AddLease(DOWN, ONE, CLASS), AddBucket(BUCKET), AddPolice(DOWN6, NETWORK, BUCKET.name)))
    listed = " ".join(linux._run("ip", "netns", "exec", linux.name, "nft", "list", "table", "inet", "edged").split())
    assert re.search(r"elements = \{ 203\.0\.113\.1 timeout 1m expires \w+ : ed:2 \}", listed)
    assert re.search(r'elements = \{ 2001:db8:d:1:: timeout 1m expires \w+ : "down_p2p_one" \}', listed)
    assert "limit down_p2p_one { rate over 250000 bytes/second burst 25000 bytes }" in listed


def test_thousands_fit_into_one_batch_and_come_back(linux: LinuxMachine) -> None:
    first = int(ip_address("100.64.0.0"))
    leases = tuple(AddLease(DOWN, first + place, ClassId(0xED, 2 + place)) for place in range(5_000))
    linux.leases.apply(leases)
    assert linux.leases.leased(DOWN) == tuple(LeasedKey(step.key, step.classid) for step in leases)
    named = [Bucket(f"a_long_name_of_a_bucket_{'x' * 90}_{place}", Rate(8_000)) for place in range(1_000)]
    policed = (AddPolice(DOWN6, (first + place) << 64, bucket.name) for place, bucket in enumerate(named))
    linux.leases.apply((*map(AddBucket, named), *policed))
    assert len(linux.leases.policed(DOWN6)) == len(linux.leases.buckets()) == 1_000


def test_what_the_packet_path_writes_is_seen_until_it_times_out(linux: LinuxMachine) -> None:
    linux._run("ip", "-n", linux.name, "link", "set", "lo", "up")
    hook = "type filter hook output priority mangle"
    linux.nft(f"table inet edged {{\n chain seen {{\n {hook}\n update @{DOWN.heavy} {{ ip daddr timeout 1s }}\n }}\n }}\n")
    linux._run("ip", "netns", "exec", linux.name, "bash", "-c", "echo > /dev/udp/127.0.0.1/9; echo > /dev/udp/127.0.0.2/9")
    assert linux.leases.heavy(DOWN) == {int(ip_address("127.0.0.1")), int(ip_address("127.0.0.2"))}
    until = time.monotonic() + 10
    while linux.leases.heavy(DOWN) and time.monotonic() < until:
        time.sleep(0.05)
    assert linux.leases.heavy(DOWN) == frozenset()


def test_keys_of_ipv6_are_networks() -> None:
    assert DOWN6.key(NETWORK + 0x1234) == NETWORK
    assert DOWN.key(ONE) == ONE


@pytest.mark.parametrize("name", ["", "P2P", "p2p; drop", "2p", "x" * 129])
def test_names_are_ones_that_nft_takes(name: str) -> None:
    with pytest.raises(ValueError, match="not a name for nft"):
        CapSets(Direction.UP, name, Family.IPV4)
    with pytest.raises(ValueError, match="not a name for nft"):
        Bucket(name, Rate(8_000))
