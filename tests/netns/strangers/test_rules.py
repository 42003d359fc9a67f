"""What strangers do to the rules, watched by the SYN probe, on a table that nobody owns: it is put back within milliseconds."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
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


FLUSH = "flush ruleset"


class Stranger:
    """An nft that goes on, as firewalls do that are daemons."""

    def __init__(self, gateway: Host, home: Path) -> None:
        self._gateway = gateway
        command = ["ip", "netns", "exec", gateway.netns, "env", f"HOME={home}", "nft", "--interactive"]  # it writes a history
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def flush(self) -> None:
        self._say(FLUSH)

    def flush_and_end(self) -> None:
        """By an nft of its own, whose end keeps everybody from committing until an RCU grace period is over.

        Where a socket of nftables closes, nft_rcv_nl_event (net/netfilter/nf_tables_api.c) holds commit_mutex while it waits for
        what is being destroyed. It came with the owner flag, in Linux 5.12: kernels without that flag do not do it.
        """
        self._gateway.run(["nft", FLUSH], check=True)

    def delete(self) -> None:
        self._say("delete table inet edged")

    def edit(self) -> None:
        """Each rule that refuses TCP 25 is one that does not, under the same handle and with the same comment."""
        found = refusals(self._gateway)
        self._say(
            "; ".join(f'replace rule inet edged op25b_up handle {handle} accept comment "{comment}"' for comment, handle in found)
        )

    def close(self) -> None:
        self._process.communicate("quit\n", 10)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def refusals(gateway: Host) -> list[tuple[str, str]]:
    """Of the rules that refuse TCP 25, comments and handles."""
    listed = gateway.run(["nft", "-a", "list", "chain", "inet", "edged", "op25b_up"], check=True).stdout
    found = re.findall(r'goto op25b_refuse comment "(\S+)" # handle (\d+)', listed)
    assert len(found) == len(FAMILIES), listed
    return found


class Kind(NamedTuple):
    """Something that a stranger does, how it is counted, and how long the policy may be away for it (ms, p99)."""

    name: str
    act: Callable[[Stranger], None]
    reason: str
    most: float


# an edited rule is found by reading the whole table back, one that is gone by its absence
KINDS = (
    Kind("nft flush ruleset", Stranger.flush, "table_removed", 10.0),
    Kind("nft flush ruleset by an nft that ends then", Stranger.flush_and_end, "table_removed", 100.0),
    Kind("nft delete table", Stranger.delete, "table_removed", 10.0),
    Kind("a rule edited under its comment", Stranger.edit, "rules_changed", 30.0),
)


@pytest.mark.promise(3)
def test_a_table_that_nobody_owns_is_back_within_milliseconds(topology: Topology, measured: Measured, tmp_path: Path) -> None:
    daemon = Daemon(topology.gateway)  # for its files
    order = KINDS * RUNS
    try:
        with (
            undisturbed(),
            keeper(topology.gateway, daemon.config) as said,
            Probe(topology, len(order) * 50) as probe,
            closing(Stranger(topology.gateway, tmp_path)) as stranger,
        ):
            repaired = []
            for kind in order:
                kind.act(stranger)
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
