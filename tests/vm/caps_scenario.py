"""Runs inside the emulated machine: a gateway whose daemon holds heavy flows; prints what was seen, as JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from edged.addresses import Family
from edged.lab.topology import Host
from edged.ruleset.nodes import Direction
from tests.netns.bulk import Way, transfers
from tests.netns.caps.gateway import DEVICES, CapsGateway, Plan, Settings, Subscriber, unstarted
from tests.netns.caps.held import PEER_HANDSHAKE, arrivals, megabits, megabits_once_heavy

RATE = 2  # Mbit/s: an emulated processor carries it easily
PACE = 8_000_000  # bit/s until a flow is held
SETTLED, SECONDS = 3.0, 8.0  # an emulated processor is late for timers, and TCP takes that for a loss
# pools for which another leaf is the best (queueing/tree.py: best_leaf)
POOLS = (8, 300)
WAYS = tuple(zip(Direction, Family, strict=True))
ATTEMPTS = 4
PATIENCE = 120.0  # seconds: a Python takes ten times as long to start as on a real machine


def main() -> None:
    """Prints one JSON object."""
    seen: dict[str, object] = {"release": os.uname().release}
    plan = Plan("slow", RATE * 1000, RATE * 1000)
    with unstarted(Settings([plan], pool=POOLS[0]), ["slow"] * ATTEMPTS * len(POOLS)) as gateway:
        gateway.limit_segments(2)
        gateway.daemon.patience = PATIENCE
        gateway.start(seconds=PATIENCE)
        for number, pool in enumerate(POOLS):
            subscribers = gateway.subscribers[number * ATTEMPTS : (number + 1) * ATTEMPTS]
            if pool != gateway.settings.pool:
                gateway.settings = replace(gateway.settings, pool=pool)
                gateway.reload()
                gateway.await_trees(DEVICES.values(), PATIENCE)
            seen[f"leaves of {pool}"] = {device: leaves(gateway, device) for device in DEVICES.values()}
            seen[f"megabits of {pool}"] = measure(gateway, iter(subscribers))
        seen["inspect"] = gateway.topology.gateway.run(
            ["nft", "list", "chain", "inet", "edged", "caps_inspect"], check=True
        ).stdout
        seen["log"] = gateway.daemon.log().splitlines()
    print(json.dumps(seen))


def leaves(gateway: CapsGateway, device: str) -> dict[str, int]:
    """How many qdiscs of each kind are below the root."""
    shown = gateway.topology.gateway.run(["tc", "qdisc", "show", "dev", device], check=True).stdout
    return Counter(re.findall(r"^qdisc (\w+) \w+: parent ed:", shown, re.MULTILINE))


def measure(gateway: CapsGateway, subscribers: Iterator[Subscriber]) -> list[float]:
    """What two heavy flows of a subscriber are held to, one down and one up.

    An emulated inspector that gets no processor for a moment lets flows pass, as it shall: those are begun anew, of another
    subscriber.
    """
    for subscriber in subscribers:
        gateway.await_inspection(PATIENCE)
        ways = [_way(gateway.topology.web, subscriber.host, direction, family) for direction, family in WAYS]
        with arrivals(ways) as arrived, transfers(ways, PEER_HANDSHAKE, pace=PACE):
            megabits_once_heavy(arrived, SETTLED)
            seen = megabits(arrived, SECONDS)
            if all(gateway.has_lease(subscriber, direction, family) for direction, family in WAYS):
                return seen
    return []


def _way(web: Host, host: Host, direction: Direction, family: Family) -> Way:
    return ((web, host) if direction is Direction.DOWN else (host, web), family)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failure:
        sys.exit(f"{failure}: {failure.stderr}")
