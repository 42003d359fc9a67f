"""A kernel that is really short of buffers, and a process that really lost its right: what the injected faults stand for."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edged.daemon.drift import UNKNOWN, Process, Reason
from edged.kernel.events import LinkEvents, NftEvents
from tests.contract.machines import LinuxMachine
from tests.contract.parts import Parts, configurations
from tests.tiers import missing_for_namespaces, require

_CAP_NET_ADMIN = 12
_VERSION_3 = 0x20080522  # linux/capability.h


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def without_net_admin() -> Iterator[None]:
    """The calling thread, and no other, cannot use CAP_NET_ADMIN meanwhile (capabilities are a thread's: capabilities(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), (_Set * 2)()
    if libc.capget(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capget")
    had = sets[0].effective
    sets[0].effective = had & ~(1 << _CAP_NET_ADMIN)
    if libc.capset(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        sets[0].effective = had
        assert libc.capset(ctypes.byref(header), sets) == 0


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    if reason := missing_for_namespaces():
        require("netns", reason)
    with closing(Parts(LinuxMachine(), *configurations(tmp_path))) as made:
        yield made


@pytest.mark.promise(14)
def test_a_process_that_lost_its_capability_says_so_and_goes_on_when_it_is_back(parts: Parts) -> None:
    def powerless() -> None:
        with without_net_admin():
            parts.keeper.audit()
            parts.capper.tick(parts.one)
            parts.bulk.sample(parts.one)
            parts.surroundings.refresh()
            parts.totals.read()

    parts.keeper.hold(parts.one)
    parts.tick_while_heavy(1)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(powerless).result()
    for trouble in (parts.keeper.state.trouble, parts.capper.state.trouble, parts.totals.trouble, parts.surroundings.trouble):
        assert "CAP_NET_ADMIN" in trouble
    assert parts.in_force() is parts.one
    parts.retry()
    parts.clock.advance(2.0)
    parts.tick_while_heavy(2)
    parts.surroundings.refresh()
    parts.totals.read()
    assert parts.keeper.state.in_sync
    troubles = (parts.keeper.state.trouble, parts.capper.state.trouble, parts.totals.trouble, parts.surroundings.trouble)
    assert troubles == ("", "", "", "")


@pytest.mark.promise(14)
def test_lost_events_cost_the_culprits_name_and_no_repair(parts: Parts) -> None:
    parts.keeper.hold(parts.one)
    with closing(NftEvents(parts.machine.name)) as events, socket.socket(fileno=os.dup(events.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        parts.machine.load("".join(f"add table ip t{number}\n" for number in range(64)))
        parts.machine.flush_ruleset()
        for change in events.read():
            parts.suspects.note(change.generation, Process(change.process, change.pid))
        assert events.lost, "the buffer held all events"
    parts.keeper.look()
    assert parts.in_force() is parts.one
    assert parts.keeper.state.repairs[Reason.TABLE_REMOVED] == 1
    assert [repair.process for repair in parts.keeper.state.recent] == [UNKNOWN]


@pytest.mark.promise(14)
def test_lost_events_of_links_are_as_good_as_one(parts: Parts) -> None:
    with closing(LinkEvents(parts.machine.name)) as events, socket.socket(fileno=os.dup(events.fileno())) as same:
        assert not events.read()
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for name in ("v0", "v1", "v2"):
            parts.machine.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-far")
        assert events.read()
        assert events.lost, "the buffer held all events"
