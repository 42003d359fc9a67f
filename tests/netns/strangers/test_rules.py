"""What strangers do to the rules, watched by the SYN probe, on a table that nobody owns: it is put back within milliseconds."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from edged.lab.topology import Host, Topology
from tests.netns.daemon_process import Daemon
from tests.netns.probe.probe import FAMILIES, Probe
from tests.netns.strangers.timing import IS_LONG, SLACK, p99, told, undisturbed
from tests.promises import Measured

RUNS = 100 if IS_LONG else 10  # of each kind
PAUSE = 0.03  # s; longer than a SYN's time, so that no two holes are one
_ROOT = Path(__file__).parents[3]


def flush(gateway: Host) -> None:
    gateway.run(["nft", "flush", "ruleset"], check=True)


def delete(gateway: Host) -> None:
    gateway.run(["nft", "delete", "table", "inet", "edged"], check=True)


def edit(gateway: Host) -> None:
    """Each rule that refuses TCP 25 is one that does not, under the same handle and with the same comment."""
    listed = gateway.run(["nft", "-a", "list", "chain", "inet", "edged", "op25b_up"], check=True).stdout
    found = re.findall(r'goto op25b_refuse comment "(\S+)" # handle (\d+)', listed)
    assert len(found) == len(FAMILIES), listed
    edits = (f'replace rule inet edged op25b_up handle {handle} accept comment "{comment}"' for comment, handle in found)
    gateway.run(["nft", "-f", "-"], stdin="\n".join(edits), check=True)


class Kind(NamedTuple):
    """Something that a stranger does, how it is counted, and how long the policy may be away for it (ms, p99)."""

    name: str
    act: Callable[[Host], None]
    reason: str
    most: float


# an edited rule is found by reading the whole table back, one that is gone by its absence
KINDS = (
    Kind("nft flush ruleset", flush, "table_removed", 10.0),
    Kind("nft delete table", delete, "table_removed", 10.0),
    Kind("a rule edited under its comment", edit, "rules_changed", 30.0),
)


@pytest.mark.promise(3)
def test_a_table_that_nobody_owns_is_back_within_milliseconds(topology: Topology, measured: Measured) -> None:
    daemon = Daemon(topology.gateway)  # for its files
    order = KINDS * RUNS
    try:
        with undisturbed(), keeper(topology.gateway, daemon.config) as said, Probe(topology, len(order) * 50) as probe:
            repaired = []
            for kind in order:
                kind.act(topology.gateway)
                repaired.append(said())
                time.sleep(PAUSE)
            result = probe.result()
    finally:
        daemon.close()
    assert repaired == [f"{kind.reason} nft" for kind in order]
    away: dict[str, list[float]] = {kind.name: [] for kind in KINDS}
    for family in FAMILIES:
        assert result.missing(family) == []
        found = holes(result.leaked(family))
        assert len(found) == len(order), "each is a hole of its own, and the probe sees all of them"
        for kind, length in zip(order, found, strict=True):
            away[kind.name].append(length)
    for kind in KINDS:
        measured(f"no owner flag, {RUNS} times {kind.name}: the policy away for {told(away[kind.name])}")
    for kind in KINDS:
        assert p99(away[kind.name]) <= kind.most * SLACK, kind.name


@contextmanager
def keeper(gateway: Host, config: Path) -> Iterator[Callable[[], str]]:
    """The policy held without an owner; what waits for the next thing that its keeper says."""
    command = ["ip", "netns", "exec", gateway.netns, sys.executable, "-m", "tests.netns.strangers.unlocked", str(config)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_ROOT
    )
    said = process.stdout
    assert said is not None
    try:
        assert said.readline() == "holds\n"
        yield lambda: said.readline().strip()
    finally:
        process.kill()
        process.communicate()


def holes(leaked: Iterable[int]) -> list[int]:
    """How many SYNs in a row came through, that is for how many milliseconds the policy was away, each time."""
    found: list[int] = []
    before = -2
    for number in leaked:
        if number == before + 1:
            found[-1] += 1
        else:
            found.append(1)
        before = number
    return found
