"""Who must not be cut off, gathered from connections, logins and resolv.conf."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.addresses import Address
from edged.errors import KernelError
from edged.kernel.reach import Way
from edged.kernel.sockets import Connection
from edged.lockout import gather
from edged.lockout.farend import Login, Role
from edged.lockout.gather import TCP, UDP, Lifelines, nameservers
from tests.unit.config.files import loaded

CONFIGURATION = loaded()
OWN = ip_address("192.0.2.1")
PEER = ip_address("192.0.2.77")
LOGIN = Login(PEER, 50000, OWN, 22)

Found = list[tuple[str, Role]]


@dataclass
class Clock:
    boot: float = 1000.0

    def now(self) -> float:
        return 0.0

    def boottime(self) -> float:
        return self.boot

    def boot_id(self) -> str:
        return "this"


@dataclass
class Machine:
    """What the kernel and the files say."""

    connections: Iterable[Connection] = ()
    listening: frozenset[int] = frozenset({22, 179, 9825})
    present: tuple[Address, ...] = ()
    resolvers: tuple[Path, ...] = ()

    def put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def chosen(transport: int) -> tuple[Connection, ...]:
            return tuple(each for each in self.connections if each.transport == transport)

        parts: dict[str, Callable[..., object]] = {
            "own_addresses": lambda: (OWN,),
            "way_to": lambda address: None if address == ip_address("198.18.0.1") else Way("wan0", OWN),
            "listening_ports": lambda: self.listening,
            "connections": chosen,
            "present_logins": lambda: self.present,
        }
        for name, part in parts.items():
            monkeypatch.setattr(gather, name, part)
        monkeypatch.setattr(gather, "_RESOLVERS", self.resolvers)


def found(lifelines: Lifelines | None = None) -> Found:
    return [(str(end.address), end.role) for end in (lifelines or Lifelines(Clock())).ends(CONFIGURATION)]


@pytest.mark.parametrize(
    ("connection", "role"),
    [
        (Connection(TCP, 40000, PEER, 179), Role.ROUTING),
        (Connection(TCP, 179, PEER, 40000, 29), Role.ROUTING),
        (Connection(TCP, 179, PEER, 40000, 28), None),  # no OPEN: the speaker does not know him
        (Connection(TCP, 179, PEER, 179, 0), None),
        (Connection(TCP, 40000, PEER, 2379), Role.CLUSTER),
        (Connection(TCP, 40000, PEER, 2083), Role.ACCOUNTS),
        (Connection(UDP, 40000, PEER, 1812), Role.ACCOUNTS),
        (Connection(UDP, 22, PEER, 1813), Role.ACCOUNTS),
        (Connection(TCP, 9825, PEER, 40000), Role.MONITORING),
        (Connection(TCP, 22, PEER, 40000, 5000), None),
        (Connection(TCP, 22, PEER, 2379, 5000), None),  # from a port of his choice
        (Connection(TCP, 40000, PEER, 443), None),
        (Connection(UDP, 179, PEER, 40000), None),
        (Connection(UDP, 9825, PEER, 40000), None),
    ],
)
def test_what_a_connection_makes_of_its_far_end(
    monkeypatch: pytest.MonkeyPatch, connection: Connection, role: Role | None
) -> None:
    Machine((connection,)).put(monkeypatch)
    assert found() == ([] if role is None else [(str(PEER), role)])


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1", "fe80::9", "198.18.0.1"])
def test_oneself_and_who_cannot_be_reached_are_nobody(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    Machine((Connection(TCP, 40000, ip_address(address), 179),)).put(monkeypatch)
    assert found() == []


def test_each_is_told_once_a_role_and_in_a_settled_order(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ip_address("192.0.2.9")
    talks = [Connection(TCP, port, peer, 179) for port, peer in ((40000, PEER), (40001, PEER), (40002, other))]
    Machine(talks, present=(PEER,)).put(monkeypatch)
    expected = [(str(PEER), Role.LOGIN), (str(other), Role.ROUTING), (str(PEER), Role.ROUTING)]
    assert found() == expected
    Machine(reversed(talks), present=(PEER,)).put(monkeypatch)
    assert found() == expected


def test_a_login_is_remembered_for_an_hour_and_passes_through_where_its_server_is_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Machine().put(monkeypatch)
    clock = Clock()
    lifelines = Lifelines(clock)
    lifelines.note(None)
    assert lifelines.ends(CONFIGURATION) == ()
    lifelines.note(LOGIN)
    (end,) = lifelines.ends(CONFIGURATION)
    assert (end.address, end.role, end.interface, end.source, end.through) == (PEER, Role.LOGIN, "wan0", OWN, None)
    onward = Login(ip_address("192.0.2.78"), 50000, ip_address("203.0.113.9"), 22)
    lifelines.note(onward)
    assert lifelines.ends(CONFIGURATION)[1].through == onward
    clock.boot += 3600
    assert len(lifelines.ends(CONFIGURATION)) == 2
    clock.boot += 1
    assert lifelines.ends(CONFIGURATION) == ()


def test_resolvers_are_those_of_resolv_conf_and_of_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("# nameserver 192.0.2.1\nnameserver 127.0.0.53\nsearch example\nnameserver\n")
    (tmp_path / "resolved").write_text(
        "nameserver 192.0.2.53\nnameserver fe80::1%wan0\nnameserver nonsense\nnameserver 2001:db8::53 x\n"
    )
    Machine(resolvers=(tmp_path / "resolv.conf", tmp_path / "resolved", tmp_path / "none")).put(monkeypatch)
    assert found() == [("192.0.2.53", Role.RESOLVER), ("2001:db8::53", Role.RESOLVER)]
    assert nameservers(tmp_path / "none") == ()


def test_a_kernel_that_does_not_tell_leaves_what_else_is_known(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise KernelError("cannot read the machine's own connections: No such file or directory")

    Machine(present=(PEER,)).put(monkeypatch)
    monkeypatch.setattr(gather, "listening_ports", refuse)
    assert found() == [(str(PEER), Role.LOGIN)]
    assert "cannot read the machine's own connections" in caplog.text
    monkeypatch.setattr(gather, "own_addresses", refuse)
    assert found() == []
    assert "what would cut them off is not refused" in caplog.text


def test_the_guard_is_asked_about_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    Machine(present=(PEER,)).put(monkeypatch)
    monkeypatch.setattr(gather, "refuse_cuts", lambda *given: asked.extend(given))
    lifelines = Lifelines(Clock())
    lifelines.guard(CONFIGURATION)
    assert asked == [CONFIGURATION, lifelines.ends(CONFIGURATION), 0]
