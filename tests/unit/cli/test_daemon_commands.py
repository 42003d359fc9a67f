"""reload and status: what the daemon says, for people and for programs."""

from __future__ import annotations

import pytest

from edged.cli.screen import rates
from edged.cli.tables import rate
from edged.control.client import DaemonRefused
from edged.errors import ExitCode
from tests.unit.cli.commands import CHANGES, STATUS, TOP, Edged, FakeDaemon


@pytest.fixture(autouse=True)
def _runs(daemon: FakeDaemon) -> None:
    daemon.runs = True


def test_reload_tells_the_steps_and_warnings(edged: Edged, daemon: FakeDaemon) -> None:
    result = edged("reload")
    assert result.exit_code == 0
    assert result.stdout == "add chain x\nchain x: write 1 rule\nreloaded: 2 steps\n"
    assert result.stderr == "w1\n"
    assert daemon.asked == [("reload",)]


def test_reload_json_is_the_daemons_answer(edged: Edged) -> None:
    assert edged.json("reload") == {"schema": "edged/v1/reload", **CHANGES}


def test_a_reload_of_wrong_files_prints_them_as_check_does(edged: Edged, daemon: FakeDaemon) -> None:
    problems = ("rules.d/20-op25b.yaml:4:9: action: wrong", "edged.yaml:1:1: gone")
    daemon.fails = DaemonRefused("the files are wrong (2 problems); nothing changed", ExitCode.INVALID, problems)
    result = edged("reload")
    assert result.exit_code == ExitCode.INVALID
    assert result.stdout == ""
    assert result.stderr.splitlines() == [*problems, "edged: the files are wrong (2 problems); nothing changed"]


@pytest.mark.parametrize("code", [ExitCode.FAILED, ExitCode.REFUSED])
def test_reload_ends_as_the_daemon_says(edged: Edged, daemon: FakeDaemon, code: ExitCode) -> None:
    daemon.fails = DaemonRefused("no", code)
    assert edged("reload").exit_code == code


@pytest.mark.parametrize("command", ["reload", "status", "top"])
def test_without_a_daemon_it_is_exit_4(edged: Edged, daemon: FakeDaemon, command: str) -> None:
    daemon.runs = False
    result = edged(command)
    assert result.exit_code == ExitCode.UNREACHABLE
    assert result.stdout == ""


def test_status_json_is_the_status_object_as_it_is(edged: Edged) -> None:
    assert edged.json("status") == STATUS


@pytest.mark.parametrize(
    ("in_sync", "degraded", "code"),
    [
        (True, [], ExitCode.DONE),
        (False, [], ExitCode.DIFFERENT),
        (True, [{"what": "a", "why": "b", "instead": "c"}], ExitCode.DEGRADED),
        (False, [{"what": "a", "why": "b", "instead": "c"}], ExitCode.DIFFERENT),
    ],
)
def test_the_exit_code_says_how_the_policy_stands(
    edged: Edged, daemon: FakeDaemon, *, in_sync: bool, degraded: list[object], code: ExitCode
) -> None:
    daemon.status_now["in_sync"] = in_sync
    daemon.status_now["degraded"] = degraded  # type: ignore[typeddict-item]
    assert edged("status").exit_code == code
    edged.json("status", exit_code=code)


def test_the_screen_has_what_an_operator_asks_for(edged: Edged, daemon: FakeDaemon) -> None:
    daemon.status_now["interfaces"]["wan0"] = False
    daemon.status_now["confirm"] = {"seconds_left": 42.4}
    daemon.status_now["degraded"] = [{"what": "interface wan0", "why": "it is not there", "instead": "its rules wait"}]
    daemon.status_now["warnings"] = ["rules.d/x.yaml:1:1: odd"]
    screen = edged("status").stdout
    for expected in (
        "gw1  in sync: the kernel is as the files ask",
        "wan0 (absent)",
        "rolled back in 42 s unless you run: edged confirm",
        "repaired: 2 flushed",
        "flushed by nft (pid 99): remove table inet edged",
        "degraded: interface wan0: it is not there; instead: its rules wait",
        "warning: rules.d/x.yaml:1:1: odd",
        "edged 0.1.0, pid 42, metrics at 127.0.0.1:9825",
    ):
        assert expected in screen
    rows = [line.split() for line in screen.splitlines()]
    assert ["op25b", "enforce", "up", "ipv4", "reject", "12,345", "723.3", "KiB"] in rows
    assert ["up", "ipv6", "reject", "0", "0", "B"] in rows
    assert ["spoof", "off"] in rows
    assert ["p2p", "1,234", "7", "31"] in rows
    assert ["bulk", "0", "0", "21"] in rows
    assert ["up", "2,048", "12"] in rows
    assert ["down", "0", "0", *["policed:", "this", "kernel", "has", "no", "HTB"]] in rows
    assert ["0", "1,000", "200", "3", "4", "50", "6", "8", *["its", "worker", "lags,", "packets", "pass"]] in rows
    assert next(row for row in rows if "3,210" in row)[:4] == ["3,210", "packets", "passed", "uninspected:"]


def test_without_caps_the_screen_has_nothing_of_them(edged: Edged, daemon: FakeDaemon) -> None:
    daemon.status_now["caps"] = None
    assert "capped now" not in edged("status").stdout


@pytest.mark.parametrize(
    ("enforcing", "in_sync", "running", "headline"),
    [
        (False, True, "files", "NOT enforcing"),
        (True, False, "files", "NOT in sync"),
        (True, True, "last good", "in sync with the last good configuration, NOT with the files"),
    ],
)
def test_the_headline_does_not_flatter(
    edged: Edged, daemon: FakeDaemon, *, enforcing: bool, in_sync: bool, running: str, headline: str
) -> None:
    daemon.status_now["enforcing"], daemon.status_now["in_sync"] = enforcing, in_sync
    daemon.status_now["configuration"]["running"] = running
    assert headline in edged("status").stdout.splitlines()[0]


def test_rates_are_the_difference_of_two_looks(daemon: FakeDaemon) -> None:
    after = daemon.status_now
    after["policies"][0]["counters"][0]["packets"] += 100
    after["policies"][0]["counters"][0]["bytes"] += 6000
    found = rates(STATUS, after, 2.0)
    assert found["op25b", "up", "ipv4", "reject"] == (50.0, 3000.0)
    assert found["op25b", "up", "ipv6", "reject"] == (0.0, 0.0)


def test_a_restarted_daemon_counts_from_nothing(daemon: FakeDaemon) -> None:
    after = daemon.status_now
    after["pid"] += 1
    after["policies"][0]["counters"][0]["packets"] = 10
    after["policies"][0]["counters"][0]["bytes"] = 600
    assert rates(STATUS, after, 1.0)["op25b", "up", "ipv4", "reject"] == (10.0, 600.0)


def test_watch_shows_rates_until_the_operator_leaves(edged: Edged, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            daemon.runs = False  # it is being restarted: the screen waits for it
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("edged.cli.status.time.sleep", sleep)
    result = edged("status", "--watch", "2s")
    assert result.exit_code == 130
    assert looks == [2.0, 2.0, 2.0]
    assert "no edged daemon answers" in result.stdout


def test_watch_and_json_exclude_each_other(edged: Edged) -> None:
    assert edged("status", "--watch", "--json").exit_code == 2


# --- top ---


def test_top_shows_the_leases_as_the_daemon_ranks_them(edged: Edged, daemon: FakeDaemon) -> None:
    lines = [line.split() for line in edged("top").stdout.splitlines()]
    assert lines == [
        ["subscriber", "plan", "class", "direction", "method", "cap", "rate", "now", "dropped"],
        ["C-1001", "business", "p2p", "down", "shape", "50mbit", "50mbit", "12"],
        ["203.0.113.9/32", "streaming", "up", "shape", "8mbit", "640bit", "0"],
        ["203.0.113.10/32", "p2p", "down", "police", "2mbit", "-", "-"],
    ]
    assert daemon.asked == [("top", 20)]


def test_top_shows_as_many_as_asked_and_says_how_many_there_are(edged: Edged, daemon: FakeDaemon) -> None:
    assert edged("top", "--once", "--limit", "1").stdout.splitlines()[2:] == ["and 2 more: --limit 3"]
    assert daemon.asked == [("top", 1)]
    assert edged("top", "--limit", "0").exit_code == 2


def test_top_json_is_the_daemons_answer(edged: Edged) -> None:
    assert edged.json("top") == TOP


def test_top_of_nobody_says_so(edged: Edged, daemon: FakeDaemon) -> None:
    daemon.top_now = {"schema": "edged/v1/top", "leases": 0, "uses": []}
    assert edged("top").stdout == "nobody is held to a cap at the moment\n"


def test_top_on_a_terminal_goes_on_until_the_operator_leaves(
    edged: Edged, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            daemon.runs = False  # it is being restarted: the screen waits for it
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("edged.cli.top.time.sleep", sleep)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal then
    result = edged("top")
    assert result.exit_code == 130
    assert looks == [2.0] * 3
    assert "C-1001" in result.stdout
    assert "no edged daemon answers" in result.stdout
    assert daemon.asked == [("top", 20)] * 2


@pytest.mark.parametrize(
    ("bits", "word"),
    [
        (0, "0bit"),
        (999, "999bit"),
        (64_000, "64kbit"),
        (999_499, "999kbit"),
        (999_999, "1mbit"),
        (7_949_000, "7.95mbit"),
        (2.5e12, "2500gbit"),
    ],
)
def test_rates_are_short(bits: float, word: str) -> None:
    assert rate(bits) == word
