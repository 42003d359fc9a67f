"""What is lost of the traffic while workers of the live queue come and go: edged's, beside the package NetfilterQueue.

    python -m bench.queue_start [ROUNDS]          (root; ./bootstrap install --queue brings the package)

The router of forwarding.py with a rule that sends every packet to one queue, with bypass, while one CPU sends packets as
fast as it can. In each round TIMES workers start and are killed. The package's worker binds the queue itself, and knows no
fail-open flag: the kernel drops what comes between the binding of a queue and its setting up, what comes while it is full, and
what waits in one whose socket closes. Edged's supervisor binds once, and passes a queue by while it has no worker
(edged/inspectors/__init__.py). That is why edged speaks to NFQUEUE itself.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from bench._flows import mixed
from bench._forwarding import Router, routed
from bench._table import Table
from bench.inspect_queue import FORMS, MARKS, Step, sent_on, steps
from edged.inspectors.workers import Workers

TIMES = 10
FLOWS = 1_000
LIFE = 0.15  # seconds
PACKAGE = """
from netfilterqueue import NetfilterQueue
queue = NetfilterQueue()
queue.bind(0, lambda packet: packet.accept(), max_len=128)
queue.run()
"""


def by_package(netns: str, fire: Callable[[float], int]) -> int:
    """How many packets were sent while the package's workers came and went."""
    fired = 0
    for _ in range(TIMES):
        worker = subprocess.Popen(["ip", "netns", "exec", netns, sys.executable, "-c", PACKAGE])
        fired += fire(LIFE + 0.1)  # it imports for a while
        worker.kill()
        worker.wait()
    return fired


def by_edged(netns: str, fire: Callable[[float], int]) -> int:
    """The same of edged's: killed by their numbers, started anew by the supervisor."""
    fired = 0
    workers = Workers.start(FORMS["accepted"], [0], MARKS, netns=netns)
    try:
        for _ in range(TIMES):
            fired += fire(LIFE + 0.1)
            for pid in workers.pids():
                os.kill(pid, signal.SIGKILL)
    finally:
        workers.stop()
    return fired


def main() -> int:
    """Measure and print; 1 where edged loses a packet."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    logging.disable()  # each death is told otherwise
    forms = {"edged": by_edged}
    if importlib.util.find_spec("netfilterqueue"):
        forms["NetfilterQueue"] = by_package
    else:
        print("the package NetfilterQueue is not installed: not compared (./bootstrap install --queue)")
    lost: dict[str, list[float]] = {name: [] for name in forms}
    sent = 0
    with routed() as (netns, outlets):
        for rule in ("FORWARD -j NFQUEUE --queue-num 0 --queue-bypass", "POSTROUTING"):
            Router(netns).run("iptables", "-t", "mangle", "-A", *rule.split())
        firing = list(steps(outlets, mixed(FLOWS)))
        for _ in range(rounds):
            for name, form in forms.items():
                before = sent_on(netns)
                fired = form(netns, lambda seconds: _fire(firing, seconds))
                time.sleep(0.2)
                lost[name].append(before + fired - sent_on(netns))
                sent += fired
    table = Table()
    print(f"{rounds} rounds of {TIMES} workers a form, {sent:,} packets in all")
    table.head(f"lost while {TIMES} workers come and go", "packets")
    for name, found in lost.items():
        table.row(name, found, 0 if name == "edged" else None)
    return 0 if table.held else 1


def _fire(firing: list[Step], seconds: float) -> int:
    """Send for that long; how many packets that were."""
    fired, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        for step in firing:
            for volley in step.volleys:
                volley.fire()
            fired += step.packets
    return fired


if __name__ == "__main__":
    sys.exit(main())
