"""Who must not be cut off."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edged.addresses import Address


class Role(Enum):
    """What somebody is to this gateway."""

    LOGIN = "an operator's login"
    MONITORING = "the monitoring"
    RESOLVER = "a resolver"
    ROUTING = "a BGP neighbour"
    ACCOUNTS = "a RADIUS server"
    CLUSTER = "an etcd server"


@dataclass(frozen=True, slots=True)
class Login:
    """A login's connection as sshd tells of it (SSH_CONNECTION, ssh(1)): from whom, and to which of the server's addresses."""

    peer: Address
    peer_port: int
    server: Address
    server_port: int

    def __str__(self) -> str:
        return f"{self.peer} {self.peer_port} {self.server} {self.server_port}"


@dataclass(frozen=True, slots=True)
class FarEnd:
    """Somebody who must not be cut off: in which role, known by what, and reached how.

    `interface` and `source` are those of the gateway's own packets to it. `through` is a login whose server is not this gateway,
    so that it passes through it.
    """

    address: Address
    role: Role
    known_by: str
    interface: str
    source: Address
    through: Login | None = None

    @property
    def told(self) -> str:
        """What it is, for people."""
        return f"{self.role.value}, {self.known_by}"
