"""What the readers of names answer in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

LONGEST = 16 << 10  # bytes of a handshake or a head that are looked at


class Hello(NamedTuple):
    """A client's opening message that is whole.

    - `name`: the host it asks for, as `host.host_name` has it; None where it names none, or none that can be relied on.
    - `has_ech`: it holds the extension of an encrypted ClientHello (RFC 9849). Either the name is the outer one then, or the
      extension is GREASE and there is no other name; nobody between the ends can tell which.
    """

    name: str | None
    has_ech: bool


@dataclass(frozen=True, slots=True)
class NeedMore:
    """What came fits so far, and ends too early."""


NEED_MORE = NeedMore()
