"""What systemd puts into the environment, and what is done with it; the messages themselves are in the netns tier."""

from __future__ import annotations

from contextlib import closing

import pytest

from edged.daemon.systemd import Systemd

PID = 4711


def test_without_systemd_there_is_nothing_and_nothing_happens() -> None:
    systemd = Systemd({}, PID)
    assert (systemd.present, systemd.watchdog_seconds, systemd.take_owner()) == (False, None, None)
    systemd.ready("fine")
    systemd.alive()


@pytest.mark.parametrize(
    ("interval", "addressee", "expected"),
    [
        ("10000000", "", 10.0),
        ("10000000", "4711", 10.0),
        ("10000000", "1", None),
        ("0", "", None),
        ("x", "", None),
        ("", "", None),
    ],
)
def test_the_watchdog_is_for_the_process_it_names(interval: str, addressee: str, expected: float | None) -> None:
    systemd = Systemd({"WATCHDOG_USEC": interval, "WATCHDOG_PID": addressee}, PID)
    assert systemd.watchdog_seconds == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "nft"},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "nft"},
        {"LISTEN_PID": "4711", "LISTEN_FDS": "x"},
        {"LISTEN_PID": "4711"},
    ],
)
def test_descriptors_for_another_process_are_not_touched(environment: dict[str, str]) -> None:
    assert Systemd(environment, PID).take_owner() is None


def test_children_inherit_none_of_it() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/x",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "4711",
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "nft",
        "PATH": "/bin",
    }
    Systemd(environment, PID).close()
    assert environment == {"PATH": "/bin"}


def test_a_manager_that_is_gone_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    with closing(Systemd({"NOTIFY_SOCKET": "/nonexistent/notify"}, PID)) as systemd:
        systemd.ready("fine")
    assert "cannot notify systemd (READY=1)" in caplog.text
