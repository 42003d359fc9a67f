"""What only the real kernel has: capabilities, races between programs, lost answers, events."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edged.errors import KernelError, StalePlan
from edged.kernel import uapi
from edged.kernel.attrs import text
from edged.kernel.batch import Batch, Message
from edged.kernel.events import LinkEvents, NftEvents
from edged.kernel.linux import LinuxKernel
from edged.kernel.nftsocket import NftSocket
from edged.kernel.uapi import Msg, TableAttr
from edged.ruleset.diff import diff
from edged.ruleset.nodes import Drop, PortIs, Side, Transport
from edged.ruleset.plan import Desired, Plan, RemoveChain
from edged.ruleset.tree import Chain, Rule, Table
from tests.contract.machines import LinuxMachine
from tests.contract.tables import NOW, SMALL, prefix, with_chain, with_set
from tests.contract.test_kernel import assert_holds, bring

# --- capabilities ---

AS_NFT_SAYS_IT = {
    "inet_filter": "add chain inet t c { type filter hook forward priority 0; }",
    "interval_sets": "add set inet t s { type ipv6_addr; flags interval; elements = { ::1-::5 }; }",
    "timeouts": "add set inet t s { type ipv6_addr; flags interval,timeout; elements = { ::1-::5 timeout 60s }; }",
    "counters": "add counter inet t c",
    "conntrack": "add chain inet t c; add rule inet t c ct direction reply",
    "limit": "add chain inet t c; add rule inet t c limit rate over 1/second",
    "reject": "add chain inet t c { type filter hook forward priority 0; }; add rule inet t c reject with tcp reset",
    "queue": "add chain inet t c; add rule inet t c queue flags bypass to 0",
    "leases": "add map inet t m { type ipv6_addr : classid; flags timeout; }; add chain inet t c;"
    " add rule inet t c meta priority set ip6 saddr map @m",
    "named_limits": "add map inet t m { type ipv6_addr : limit; flags timeout; }; add chain inet t c;"
    " add rule inet t c limit name ip6 saddr map @m",
    "dynamic_sets": "add set inet t s { type ipv6_addr; flags dynamic,timeout; }; add chain inet t c;"
    " add rule inet t c update @s { ip6 saddr timeout 5s }",
    "flowtable": "add flowtable inet t f { hook ingress priority 0; }",
}


@pytest.mark.parametrize("feature", AS_NFT_SAYS_IT)
def test_probing_agrees_with_nft(linux: LinuxMachine, feature: str) -> None:
    works = linux.connect().capabilities().features[feature]
    checked = linux.run("nft", "-c", f"add table inet t; {AS_NFT_SAYS_IT[feature]}", check=False)
    assert works == (checked.returncode == 0), checked.stderr


def test_table_flags_are_probed_as_they_are(linux: LinuxMachine) -> None:
    kernel = linux.connect()
    capabilities = kernel.capabilities()
    bring(kernel, SMALL, capabilities.lock)
    assert_holds(kernel, SMALL)
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    assert capabilities.features["table_owner"] == (release >= (5, 12))
    assert capabilities.features["table_persist"] == (release >= (6, 9))
    assert capabilities.features["destroy"] == (release >= (6, 3))


def test_without_flowtables_none_is_listed(linux: LinuxMachine) -> None:
    kernel = linux.connect()
    assert kernel.foreign_flowtables() == ()
    if not kernel.capabilities().features["flowtable"]:
        return
    linux.nft("add table ip t; add flowtable ip t fast { hook ingress priority 0; devices = { lo }; }")
    assert [str(found) for found in kernel.foreign_flowtables()] == ["ip t fast (lo)"]


WITHOUT_CAPABILITY = """
import os, sys
from edged.errors import EdgedError
from edged.kernel.linux import LinuxKernel
from edged.ruleset.plan import CreateTable, Lock, Plan
LinuxKernel().close()  # all that is imported, while it may be read
os.setgroups([])
os.setuid(65534)
kernel = LinuxKernel()
plan = Plan((CreateTable(Lock.NONE),), 1)
for act in (kernel.generation, kernel.observe, kernel.counters, kernel.capabilities, kernel.foreign_flowtables,
            lambda: kernel.check(plan, now=0), lambda: kernel.apply(plan, now=0)):
    try:
        act()
    except EdgedError as refused:
        print(type(refused).__name__, refused)
"""


def test_a_missing_capability_is_named(linux: LinuxMachine) -> None:
    said = linux.run(sys.executable, "-c", WITHOUT_CAPABILITY).stdout.splitlines()
    assert len(said) == 7
    assert all(line.startswith("KernelError") and "CAP_NET_ADMIN" in line and "nothing was changed" in line for line in said)


def test_a_namespace_that_is_not_there() -> None:
    with pytest.raises(KernelError, match=r"in network namespace edged-nowhere: .*No such file"):
        LinuxKernel(netns="edged-nowhere")


def test_a_descriptor_that_is_no_netlink_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(KernelError, match="not a netlink socket"):
        LinuxKernel(fileno=ours.fileno())
    reading, writing = os.pipe()
    try:
        with pytest.raises(KernelError, match="is no socket"):
            LinuxKernel(fileno=reading)
    finally:
        os.close(reading)
        os.close(writing)


def test_only_what_is_needed_is_imported() -> None:
    heavy = "[name for name in ('pyroute2', 'ctypes', 'asyncio') if name in sys.modules]"
    script = f"import sys, edged.kernel.linux, edged.kernel.events; print({heavy})"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- errors of the kernel ---


def test_a_refused_message_is_named(linux: LinuxMachine) -> None:
    nft = NftSocket(linux.name)
    too_long = Message(Msg.NEWTABLE, uapi.NLM_F_CREATE, text(TableAttr.NAME, "t" * 300), "create a table")
    try:
        # newer kernels add an explanation of their own
        with pytest.raises(KernelError, match=r"refused: create a table: .*\(ERANGE\).*; nothing was applied") as refused:
            nft.commit(Batch((too_long,)))
    finally:
        nft.close()
    assert refused.value.label == "create a table"


def test_more_errors_than_one_are_counted(linux: LinuxMachine) -> None:
    kernel = linux.connect()
    bring(kernel, Table())
    gone = tuple(RemoveChain(name) for name in ("a", "b", "c"))
    with pytest.raises(KernelError, match=r"chain a: empty it: .*more errors in the same batch"):
        kernel.apply(Plan(gone, kernel.generation()), now=NOW)


def test_lost_answers_do_not_hide_a_refusal(linux: LinuxMachine) -> None:
    kernel = linux.connect()
    bring(kernel, Table())
    with socket.socket(fileno=os.dup(kernel.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        with pytest.raises(KernelError, match="the kernel refused"):
            kernel.apply(Plan(tuple(RemoveChain(f"gone{n}") for n in range(5000)), kernel.generation()), now=NOW)
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    bring(kernel, SMALL)
    assert_holds(kernel, SMALL)


# --- several programs at once ---


@contextmanager
def meanwhile(act: object) -> Iterator[list[BaseException]]:
    """Do something over and over in another thread; what went wrong there."""
    assert callable(act)
    stop = threading.Event()
    faults: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                act()
                time.sleep(0.001)
        except BaseException as fault:  # noqa: BLE001 - told by the assertion of the test
            faults.append(fault)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield faults
    finally:
        stop.set()
        thread.join()


def test_what_is_observed_is_of_one_generation(linux: LinuxMachine) -> None:
    writer, reader = linux.connect(), linux.connect()
    many = tuple(Rule(f"rule{n}", (PortIs(Transport.TCP, Side.SOURCE, n + 1),), Drop()) for n in range(100))
    states = (with_chain(SMALL, "op25b", *many), with_set(with_chain(SMALL, "op25b"), "pool4", prefix("10.0.0.0/8")))
    bring(writer, states[0])
    turn = iter(range(1 << 30))
    seen = set()
    with meanwhile(lambda: bring(writer, states[next(turn) % 2])) as faults:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            observed = reader.observe()
            matching = [n for n, state in enumerate(states) if not diff(Desired(state), observed)]
            assert len(matching) == 1
            seen.update(matching)
    assert not faults
    assert seen == {0, 1}


@pytest.mark.parametrize("length", [1, 100, 400])
def test_dry_runs_of_others_do_not_tear_what_is_observed(linux: LinuxMachine, length: int) -> None:
    """They put rules between ours and take them back, without a generation of their own; long dumps lose their place."""
    other, reader = linux.connect(), linux.connect()
    ours = tuple(Rule(f"ours{n}", (PortIs(Transport.TCP, Side.SOURCE, n + 1),), Drop()) for n in range(length))
    table = with_chain(SMALL, "op25b", *ours)
    bring(other, table)
    theirs = tuple(Rule(f"theirs{n}", (PortIs(Transport.UDP, Side.SOURCE, n + 1),), Drop()) for n in range(300))
    tried = diff(Desired(with_chain(table, "op25b", *theirs)), other.observe())
    seen = 0
    with meanwhile(lambda: other.check(tried, now=NOW)) as faults:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            with suppress(KernelError):  # an honest answer where the other leaves no time to read
                assert not diff(Desired(table), reader.observe())
                seen += 1
    assert not faults
    assert seen


def test_two_writers_do_not_overwrite_each_other(linux: LinuxMachine) -> None:
    """Each brings its own chain into the table it sees; a stale plan never wipes out the other's."""
    ours, theirs = linux.connect(), linux.connect()
    bring(ours, Table())
    applied = {"stale": 0, "done": 0}

    def add(kernel: LinuxKernel, name: str) -> None:
        observed = kernel.observe()
        assert observed.table is not None
        present = tuple(Chain(each) for each in observed.table.chains)
        try:
            kernel.apply(diff(Desired(Table(chains=(*present, Chain(name)))), observed), now=NOW)
            applied["done"] += 1
        except StalePlan:
            applied["stale"] += 1

    names = iter(range(1 << 30))
    with meanwhile(lambda: add(theirs, f"theirs{next(names)}")) as faults:
        for n in range(150):
            add(ours, f"ours{n}")
    assert not faults
    table = ours.observe().table
    assert table is not None
    assert len(table.chains) == applied["done"]


# --- events ---


def test_commits_are_told_with_who_made_them(linux: LinuxMachine) -> None:
    events = NftEvents(linux.name)
    kernel = linux.connect()
    assert events.read() == []
    bring(kernel, SMALL)
    linux.commit_elsewhere()
    own, foreign = events.read()
    assert (own.generation, own.process) == (foreign.generation - 1, Path("/proc/self/comm").read_text().strip())
    # the kernel tells pids of the machine; in a container ours is another one. The first pid namespace has a fixed inode
    # (PROC_PID_INIT_INO, linux/proc_ns.h).
    if Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC:
        assert own.pid == os.getpid()
    assert foreign.process == "nft"
    assert foreign.generation == kernel.generation()
    assert foreign.pid not in (0, own.pid)
    assert not events.lost
    events.close()


def test_a_listener_that_was_too_slow_says_so(linux: LinuxMachine) -> None:
    events = NftEvents(linux.name)
    with socket.socket(fileno=os.dup(events.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    kernel = linux.connect()
    for n in range(50):
        bring(kernel, with_chain(SMALL, "op25b", Rule(f"rule{n}")))
    events.read()
    assert events.lost
    events.read()
    assert not events.lost
    events.close()


def test_a_commit_that_touches_our_table_is_told_from_others(linux: LinuxMachine) -> None:
    events = NftEvents(linux.name)
    commands = {
        "add table inet edged": True,
        "add table ip edged": False,
        "add table inet edgedly": False,
        "add chain inet edged x": True,
        "flush ruleset": True,
    }
    for command in commands:
        linux.run("nft", command)
    assert [change.ours for change in events.read()] == list(commands.values())
    events.close()


def test_links_that_come_and_go_are_told(linux: LinuxMachine) -> None:
    events = LinkEvents(linux.name)
    assert not events.read()
    linux.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "ppp0")
    assert events.read()
    assert not events.read()
    linux.run("ip", "link", "set", "ppp0", "name", "ppp1")
    assert events.read()
    linux.run("ip", "link", "delete", "lan0")
    assert events.read()
    events.close()
