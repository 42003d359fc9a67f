"""What a request on the control socket asks for, read out of its JSON body. Raises Unreadable with what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edged.lockout.farend import Login
from edged.lockout.logins import parse_login

_LONGEST_CONFIRM = 24 * 3600.0


class Guards(Enum):
    """What becomes of a change that the lock-out guard refuses."""

    HELD = "held"  # nothing
    OVERRIDDEN = "overridden"  # it is made all the same


class Unreadable(Exception):
    """A body that asks for nothing that there is."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Take the files anew: to be rolled back after so long (None: never), over which login, and whatever the guards say."""

    confirm_seconds: float | None = None
    login: Login | None = None
    guards: Guards = Guards.HELD


def read_apply(body: Mapping[str, Any]) -> Apply:
    """The body of POST /v1/apply."""
    _only(body, "confirm_seconds", "guards", "login")
    return Apply(_confirm_seconds(body), _login(body), _guards(body))


def read_reload(body: Mapping[str, Any]) -> Login | None:
    """The body of POST /v1/reload."""
    _only(body, "login")
    return _login(body)


def _only(body: Mapping[str, Any], *known: str) -> None:
    if unknown := sorted(body.keys() - set(known)):
        raise Unreadable(f"unknown key {unknown[0]!r} (known: {', '.join(known)})")


def _login(body: Mapping[str, Any]) -> Login | None:
    said = body.get("login")
    if said is None:
        return None
    try:
        return parse_login(str(said))
    except ValueError as error:
        raise Unreadable("login: expected the four words of SSH_CONNECTION, or null") from error


def _guards(body: Mapping[str, Any]) -> Guards:
    try:
        return Guards(body.get("guards", Guards.HELD))
    except ValueError as error:
        raise Unreadable(f"guards: expected {' or '.join(repr(each.value) for each in Guards)}") from error


def _confirm_seconds(body: Mapping[str, Any]) -> float | None:
    seconds = body.get("confirm_seconds")
    if seconds is None:
        return None
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
    if not number or not 0 < seconds <= _LONGEST_CONFIRM:
        raise Unreadable(f"confirm_seconds: expected a number above 0, at most {_LONGEST_CONFIRM:.0f}, or null")
    return float(seconds)
