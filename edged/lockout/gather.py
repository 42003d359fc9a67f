"""Who must not be cut off, as the machine is now."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from edged.addresses import Address
from edged.clock import Clock
from edged.configuration import Configuration
from edged.errors import KernelError
from edged.kernel.reach import own_addresses, way_to
from edged.kernel.sockets import Connection, connections, listening_ports
from edged.lockout.farend import FarEnd, Login, Role
from edged.lockout.guard import refuse_cuts
from edged.lockout.logins import own_login, present_logins

_log = logging.getLogger(__name__)

TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
_BGP = 179
# What a connection of the gateway's own stands for, by the far end's port: RFC 4271; RFC 2865, 2866 and 6614; etcd's two.
_SERVERS = {
    (TCP, _BGP): Role.ROUTING,
    (UDP, 1812): Role.ACCOUNTS,
    (UDP, 1813): Role.ACCOUNTS,
    (TCP, 2083): Role.ACCOUNTS,
    (TCP, 2379): Role.CLUSTER,
    (TCP, 2380): Role.CLUSTER,
}
# A speaker sends its OPEN, 29 bytes at least (RFC 4271 section 4.2), to neighbours that it knows, and closes on others.
_BGP_OPEN = 29
# systemd-resolved names itself in the first one; the second one has the servers that it asks
_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_REMEMBERED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Known:
    """A far end before it is looked up how it is reached."""

    address: Address
    role: Role
    by: str
    login: Login | None = None


@dataclass(slots=True)
class Lifelines:
    """Knows who must not be cut off; any thread may ask. Logins that commands came by are remembered for an hour."""

    clock: Clock
    _logins: dict[Login, float] = field(default_factory=dict)

    @staticmethod
    def of_this_process(clock: Clock) -> Lifelines:
        """Those of a command: its own login is one."""
        made = Lifelines(clock)
        made.note(own_login())
        return made

    def note(self, login: Login | None) -> None:
        """Remember the login that a command came by."""
        if login is not None:
            # replaced as a whole: another thread may go over it
            self._logins = {**dict(self._remembered()), login: self.clock.boottime()}

    def guard(self, configuration: Configuration) -> None:
        """Let the configuration through, or raise Refused with everyone whom it would cut off now."""
        refuse_cuts(configuration, self.ends(configuration), int(self.clock.now()))

    def ends(self, configuration: Configuration) -> tuple[FarEnd, ...]:
        """Everyone who must not be cut off now, in a settled order."""
        logins = (login for login, _ in self._remembered())
        known = (*_told(logins), *_resolvers(), *_connected(configuration.edged.metrics.listen.port))
        try:
            found = tuple(_far_ends(known, frozenset(own_addresses())))
        except KernelError as error:
            _log.error("%s; nobody who manages this gateway is known, and what would cut them off is not refused", error)
            return ()
        return tuple(sorted(found, key=lambda each: (each.role.name, each.address.version, each.address)))

    def _remembered(self) -> Iterator[tuple[Login, float]]:
        oldest = self.clock.boottime() - _REMEMBERED_SECONDS
        return ((login, noted) for login, noted in self._logins.items() if noted >= oldest)


def _far_ends(known: Iterable[_Known], own: frozenset[Address]) -> Iterator[FarEnd]:
    seen: set[tuple[Address, Role]] = set()
    for each in known:
        address = each.address
        if (address, each.role) in seen or address in own or address.is_loopback or address.is_link_local:
            continue
        seen.add((address, each.role))
        way = way_to(address)
        if way is not None:
            through = each.login if each.login is not None and each.login.server not in own else None
            yield FarEnd(address, each.role, each.by, way.interface, way.source, through)


def _told(logins: Iterable[Login]) -> Iterator[_Known]:
    for login in logins:
        yield _Known(login.peer, Role.LOGIN, "by which a command of edged's came (SSH_CONNECTION)", login)
    for address in present_logins():
        yield _Known(address, Role.LOGIN, "logged in now (utmp)")


def _resolvers() -> Iterator[_Known]:
    for path in _RESOLVERS:
        for address in nameservers(path):
            yield _Known(address, Role.RESOLVER, f"of {path}")


def nameservers(path: Path) -> tuple[Address, ...]:
    """The servers that a resolv.conf(5) names; none where there is no such file."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    named = [words[1] for line in lines if len(words := line.split()) >= 2 and words[0] == "nameserver"]
    return tuple(address for text in named if (address := _parsed(text)) is not None)


def _connected(metrics_port: int) -> Iterator[_Known]:
    """Whom the gateway itself talks to. What anyone can open from outside makes nobody of him, the metrics' port aside."""
    try:
        listening, own = listening_ports(), (*connections(TCP), *connections(UDP))
    except KernelError as error:  # CONFIG_INET_DIAG
        _log.warning("%s; whom this gateway talks to is known by never_block, logins and resolvers alone", error)
        return
    for each in own:
        if (visitor := _visitor(each, metrics_port)) is not None:
            yield _Known(each.peer, visitor, f"connected now, to port {each.local_port}")
        elif each.transport == UDP or each.local_port not in listening:  # else the far end opened it, from a port of its choice
            server = _SERVERS.get((each.transport, each.peer_port))
            if server is not None:
                yield _Known(each.peer, server, f"connected now, port {each.peer_port}")


def _visitor(found: Connection, metrics_port: int) -> Role | None:
    """What somebody is who connected to the gateway."""
    if found.transport != TCP:
        return None
    if found.local_port == _BGP and found.acknowledged >= _BGP_OPEN:
        return Role.ROUTING
    return Role.MONITORING if found.local_port == metrics_port else None


def _parsed(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
