"""What is done to the rules while the probe runs; each scenario keeps the probed subscriber covered all the time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from edged.enforce import enforce
from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Topology
from edged.policies import Ip53b, Op25b, Spoof
from edged.ruleset.plan import Desired
from edged.ruleset.tree import Table
from tests.gateway import SITE, make, prefixes, table_of
from tests.netns.daemon_process import Daemon
from tests.netns.probe.probe import Probe, Result

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
SYNS = 20_000 if IS_LONG else 8200  # a port and family
APPLIES = 1000 if IS_LONG else 300
STRANGERS = 100 if IS_LONG else 40  # of each kind
DEATHS = 34 if IS_LONG else 2  # at least; in each the ruleset is flushed three times


def tables() -> list[Table]:
    """Policies that all stop the probed SYNs, by other rules, other sets and other elements around the one that does."""
    exempt = {"prefix": "203.0.113.7", "until": int(time.time()) + 86400, "owner": "noc", "reason": "ticket"}
    wider = type(SITE)(SITE.access, SITE.upstream, {name: (*pool, *prefixes("10.0.0.0/8")) for name, pool in SITE.pools.items()})
    guarded = type(SITE)(SITE.access, SITE.upstream, SITE.pools, prefixes("192.0.2.0/28", "2001:db8:a:1::/64"))
    many = type(SITE)((*SITE.access, "ppp*"), (*SITE.upstream, "wan7"), SITE.pools)
    return [
        table_of([make(Op25b), make(Ip53b), make(Spoof)], now=int(time.time())),
        table_of([make(Op25b, exempt={"destinations": ["192.0.2.25"]})], now=int(time.time())),
        table_of([make(Op25b, scope="all", action="drop"), make(Spoof, mode="observe")], wider, int(time.time())),
        table_of([make(Op25b, exempt={"subscribers": [exempt]}), make(Ip53b, unsolicited_only=False)], now=int(time.time())),
        table_of([make(Op25b, replies="pass"), make(Spoof)], guarded, int(time.time())),
        table_of([make(Op25b, pools=["dynamic", "static"]), make(Ip53b, scope="all")], many, int(time.time())),
    ]


def paced(times: int, seconds: float) -> Iterator[int]:
    """Count to `times`, evenly over the seconds; a machine that is too busy for that takes longer."""
    begin = time.monotonic()
    for number in range(times):
        time.sleep(max(0.0, begin + number * seconds / times - time.monotonic()))
        yield number


def applies(topology: Topology) -> tuple[Result, str]:
    """Changes of the policy by another one, which adds and removes rules, sets, elements and whole policies."""
    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        lock = kernel.capabilities().lock
        choices = [Desired(table, lock) for table in tables()]
        enforce(kernel, choices[-1], time.time)
        with Probe(topology, SYNS) as probe:
            for number in paced(APPLIES, SYNS / 1000):
                plan = enforce(kernel, choices[number % len(choices)], time.time).plan
                assert plan
            result = probe.result()
    return result, f"{APPLIES} applies"


def strangers(topology: Topology) -> tuple[Result, str]:
    """A stranger flushes the ruleset, deletes the table and edits its rules, again and again, while edged's socket holds it."""
    refused = [["nft", "delete", "table", "inet", "edged"], ["nft", "insert", "rule", "inet", "edged", "op25b_up", "accept"]]
    runs = [["nft", "flush", "ruleset"], *refused]
    gateway = topology.gateway
    with closing(LinuxKernel(gateway.netns)) as kernel:
        desired = Desired(tables()[0], kernel.capabilities().lock)
        enforce(kernel, desired, time.time)
        generation = kernel.generation()
        with Probe(topology, SYNS) as probe:
            for number in paced(len(runs) * STRANGERS, SYNS / 1000):
                run = runs[number % len(runs)]
                if run not in refused:
                    gateway.run(["nft", "add", "table", "ip", "theirs"], check=True)
                done = gateway.run(run)
                assert (done.returncode == 0) is (run not in refused), "flush skips a held table, the others are refused"
            result = probe.result()
        assert kernel.generation() != generation, "the flushes did nothing at all"
        assert not enforce(kernel, desired, time.time).plan, "nothing had to be repaired"
    return result, f"{STRANGERS} runs each of nft flush ruleset, delete table and insert rule beside a living owner"


def restarts(topology: Topology) -> tuple[Result, str]:
    """The daemon is killed (-9) and started again; a stranger flushes the ruleset while it is dead and while it starts."""
    daemon = Daemon(topology.gateway)

    def flush() -> None:
        topology.gateway.run(["nft", "flush", "ruleset"], check=True)

    deaths = 0
    try:
        daemon.start()
        with Probe(topology, SYNS) as probe:
            while probe.left > 0 or deaths < DEATHS:
                daemon.kill()
                deaths += 1
                flush()
                time.sleep(0.05)
                flush()
                meanwhile = threading.Timer(0.4, flush)  # most of a start is over then, and it is not ready yet
                meanwhile.start()
                daemon.start(owner=daemon.systemd.kept["nft"])
                meanwhile.join()
            result = probe.result()
        assert daemon.client.status()["in_sync"]
    finally:
        daemon.close()
    return result, f"{deaths} deaths by kill -9, in each two flushes before the restart and one in it"


SCENARIOS: dict[str, Callable[[Topology], tuple[Result, str]]] = {
    "applies": applies,
    "strangers": strangers,
    "restarts": restarts,
}
