"""The bodies of requests: what they ask for, and what is said of those that ask for nothing that there is."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from edged.control.asked import Apply, Guards, Unreadable, read_apply, read_reload
from edged.lockout.farend import Login

WORDS = "198.51.100.9 50000 192.0.2.1 22"
LOGIN = Login(ip_address("198.51.100.9"), 50000, ip_address("192.0.2.1"), 22)


def test_what_can_be_asked_for() -> None:
    assert read_apply({}) == Apply(None, None, Guards.HELD)
    assert read_apply({"confirm_seconds": 60, "login": WORDS, "guards": "overridden"}) == Apply(60.0, LOGIN, Guards.OVERRIDDEN)
    assert read_reload({}) is None
    assert read_reload({"login": None}) is None
    assert read_reload({"login": WORDS}) == LOGIN


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"confirm": 1}, "unknown key 'confirm'"),
        ({"confirm_seconds": "1"}, "confirm_seconds: expected a number"),
        ({"confirm_seconds": True}, "confirm_seconds: expected a number"),
        ({"confirm_seconds": 0}, "confirm_seconds: expected a number above 0"),
        ({"confirm_seconds": 1e9}, "at most 86400"),
        ({"confirm_seconds": float("nan")}, "confirm_seconds: expected a number"),
        ({"guards": True}, "guards: expected 'held' or 'overridden'"),
        ({"login": "root"}, "login: expected the four words of SSH_CONNECTION"),
        ({"login": 7}, "login: expected the four words of SSH_CONNECTION"),
    ],
)
def test_what_cannot(body: dict[str, object], said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_apply(body)


def test_a_reload_has_no_guards_to_override() -> None:
    with pytest.raises(Unreadable, match="unknown key 'guards'"):
        read_reload({"guards": "overridden"})
