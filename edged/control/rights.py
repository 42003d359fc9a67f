"""Who may do what on the control socket."""

from __future__ import annotations

import grp
import logging
import os
from dataclasses import dataclass
from enum import Enum

from edged.config.control import Control
from edged.control.peer import Peer

_log = logging.getLogger(__name__)


class Role(Enum):
    """What a peer may do."""

    OPERATOR = "operator"  # everything, what names subscribers and what is on lists included
    READER = "reader"  # the status
    STRANGER = "stranger"  # nothing


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights by one configuration; groups by their numbers, None where the machine has no such group."""

    daemon: int  # its user's number
    group: int | None
    readers: int | None
    names: tuple[str, str] = ("", "")

    def role(self, peer: Peer) -> Role:
        """What the peer may do."""
        if peer.uid in {0, self.daemon} or self.group in peer.groups:
            return Role.OPERATOR
        return Role.READER if self.readers in peer.groups else Role.STRANGER

    def refusal(self, role: Role) -> str:
        """What to tell a peer of that role who wants more."""
        group, readers = self.names
        if role is Role.READER:
            return f"this is for root, the daemon's own user and group {group}; group {readers} may read the status. Try sudo."
        return f"you may not use this socket: it is for root, the daemon's own user and groups {group} and {readers}. Try sudo."


def rights_of(control: Control) -> Rights:
    """The rights by that section, with the groups as the machine has them now."""
    return Rights(os.geteuid(), _number(control.group), _number(control.readers), (control.group, control.readers))


def _number(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        _log.info("control: this machine has no group %s, so nobody has a right by it", group)
        return None
