"""What people see of the lab on a terminal, and what they are told where the lab cannot be built."""

from __future__ import annotations

import io
import os
import re
import shutil
from dataclasses import dataclass
from typing import cast

import pytest
from rich.console import Console

from edged.addresses import Family
from edged.errors import EdgedError, ExitCode, Refused
from edged.lab.attempts import ATTEMPTS
from edged.lab.caps import HELD, CapResult, Held, NotMeasured, Transfers
from edged.lab.clients import Outcome, Seen
from edged.lab.needs import check_needs
from edged.lab.report import Lines, Report, Table
from edged.lab.topology import Topology
from edged.lab.trial import Lab, Made, Result
from edged.ruleset.nodes import Direction
from edged.ruleset.tree import Counter

REJECT = Counter("op25b", Direction.UP, Family.IPV4, "reject")


@dataclass
class Listening:
    listen: str = "127.0.0.1:9825"


@dataclass
class Standing:
    """What reports ask of a lab; its namespaces are named and not made."""

    topology: Topology
    gateway: Listening


def told(report: Report, out: io.StringIO) -> str:
    report.begin(cast("Lab", Standing(Topology(), Listening())))
    results: list[Made] = [
        Result(ATTEMPTS[0], Family.IPV4, Seen(Outcome.REFUSED, "refused, 1 ms"), {REJECT: 1}, None),
        Result(ATTEMPTS[0], Family.IPV6, Seen(Outcome.PASSES, "mail delivered"), {}, "expected: refused; seen: passes"),
        CapResult(Family.IPV4, Held(2_000_000, Transfers(1_912_345.0, 812_400_000.0, 900_000), {HELD: 1_400_000})),
        CapResult(Family.IPV6, NotMeasured("aria2 ended with status 1; it said: nothing")),
    ]
    for number in (1, 2):
        for result in results:
            report.result(number, result)
        report.round(number, results)
    report.end()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())


def test_the_table_has_findings_counters_and_what_is_wrong() -> None:
    out = io.StringIO()
    last = told(Table(Console(file=out, force_terminal=True, width=160, height=60)), out).rpartition("metrics: ")[2]
    assert "-gw curl -s http://127.0.0.1:9825/metrics" in last
    row = next(line for line in last.splitlines() if "port 25 " in line and line.lstrip().startswith("dynamic"))
    assert re.search(r"refused at once +ok refused, 1 ms +WRONG mail delivered +op25b up reject +2 \+ 0", row), row
    assert "round 2: 2 of 4 attempts came out right, 2 did NOT" in last
    assert "IPv4 ok torrent 1.9 Mbit/s of 2 allowed; download beside it 812 Mbit/s; caps p2p down +1400000 bytes" in last
    assert "IPv6 WRONG aria2 ended with status 1" in last
    assert "IPv6 dynamic -> foreign mail server, port 25: expected: refused; seen: passes" in last


def test_it_fits_a_terminal_of_eighty_columns() -> None:
    out = io.StringIO()
    last = told(Table(Console(file=out, force_terminal=True, width=80, height=60)), out).rpartition("tries")[2]
    assert "..." in last, "what was not tried yet"
    assert len([line for line in last.splitlines() if " -> " in line]) == len(ATTEMPTS) + 1, "a line each, and what is wrong"


def test_without_a_terminal_there_is_a_line_a_result() -> None:
    out = io.StringIO()
    lines = told(Lines(Console(file=out)), out).splitlines()
    assert "ok     IPv4  dynamic -> foreign mail server, port 25: refused at once (refused, 1 ms); op25b up reject +1" in lines
    assert "WRONG  IPv6  dynamic -> foreign mail server, port 25: expected: refused; seen: passes" in lines
    beside = "dynamic -> a torrent, and a download beside it: "
    assert (
        f"ok     IPv4  {beside}torrent 1.9 Mbit/s of 2 allowed; download beside it 812 Mbit/s; caps p2p down +1400000 bytes"
        in lines
    )
    assert f"WRONG  IPv6  {beside}aria2 ended with status 1; it said: nothing" in lines
    assert lines[-1] == "round 2: 2 of 4 attempts came out right, 2 did NOT"


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match=r"must be root: sudo edged lab\. Nothing was changed"):
        check_needs()


def test_what_is_missing_is_named_with_its_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(shutil, "which", lambda program: None if program in ("dig", "dnsmasq") else "/bin/" + program)
    with pytest.raises(
        EdgedError, match=r"programs dig, dnsmasq; on Debian: apt-get install bind9-dnsutils dnsmasq-base"
    ) as said:
        check_needs()
    assert said.value.exit_code is ExitCode.FAILED
