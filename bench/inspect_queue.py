"""How many packets a second one worker of the live queue inspects on one core, beside one that accepts them without a look.

    python -m bench.inspect_queue [ROUNDS]          (root)

The router of forwarding.py, with a rule that sends every packet that it forwards to one queue. What it forwards are the first
packets of flows, which is what the rules of caps send there, each flow new to the worker. `made` is a mix of what subscribers
open (_flows.py), where nearly each packet begins or decides a flow; `captured` are flows of the corpus (_captured.py), where
EDGED_CORPUS names its folder. One CPU sends, 64 packets at a time and as fast as the worker is done with them, so that packets
always wait and none passes by; the other CPU is the worker's. A form's figure is the CPU time of its worker for each packet that
this has done with: what the kernel does in the worker's system calls is in it, and so is the packet's way on from the rule to
the wire. The forms take turns.

`inspected` is the worker that the daemon starts. The rule of iptables is used, as in the tests, since some kernels lack nft's.
That no packet is lost is checked too: what the router sent on is counted in its last hook.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench._captured import captured, repeated, told
from bench._flows import Sent, mixed
from bench._forwarding import MACS, Router, Volley, ethernet, routed
from bench._table import Table
from bench.replay import CORPUS
from edged.cli.files import load_configuration
from edged.inspectors.post import State
from edged.inspectors.workers import Workers
from edged.marks import MarkFields

ROOT = Path(__file__).parents[1]
_TREE = f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('edged.inspectors', run_name='__main__')"
FORMS = {
    "inspected": (sys.executable, "-Bc", _TREE),  # python -m edged.inspectors, of this tree
    "accepted": (sys.executable, "-B", str(ROOT / "bench/_accepting.py")),
}
MOST = 16.6  # us: 60,000 packets a second
MIXED_FLOWS = 10_000
WARMING_STEPS = 40  # some 2,000 packets, a form and round
ATTEMPTS = 5
AT_ONCE = 64  # half of what waits in the queue: the worker has the next ones before it is done with these
PATIENCE = 0.2  # seconds without a packet done, after which those on the way have passed by
CPUS = os.sched_getaffinity(0)
MARKS = MarkFields()


class Step(NamedTuple):
    """Packets that are sent at once."""

    volleys: tuple[Volley, ...]
    packets: int


_NOTHING = Step((), 0)


def steps(outlets: dict[str, socket.socket], flows: Iterable[list[Sent]]) -> Iterator[Step]:
    """One packet of each of AT_ONCE flows at a time; a flow that has ended makes room for the next."""
    coming = iter(flows)
    active: list[Iterator[Sent]] = []
    while True:
        active += [iter(flow) for flow in islice(coming, AT_ONCE - len(active))]
        if not active:
            return
        turn = [(flow, packet) for flow in active if (packet := next(flow, None)) is not None]
        active = [flow for flow, _ in turn]
        frames: dict[str, list[bytes]] = {"lan0": [], "wan0": []}
        for _, sent in turn:
            name = "lan0" if sent.up else "wan0"
            frames[name].append(ethernet(MACS[name], sent.packet))
        yield Step(tuple(Volley(outlets[name], each) for name, each in frames.items() if each), len(turn))


def sent_on(netns: str) -> int:
    """How many packets have come past the router's last hook."""
    argv = ["ip", "netns", "exec", netns, "iptables", "-t", "mangle", "-vnxL", "POSTROUTING"]
    return int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[2].split()[0])


class Outcome(NamedTuple):
    """Of one worker: microseconds of its CPU a packet, packets that it never saw, packets that did not come out of the router."""

    cost: float
    passed_by: int
    lost: int


def measure(netns: str, program: Sequence[str], steps: Sequence[Step]) -> Outcome | None:
    """Send all of it past a new worker; None where that was replaced meanwhile."""
    before = sent_on(netns)
    workers = Workers.start(program, [0], MARKS, netns=netns)
    try:
        while workers.figures()[0].state is not State.INSPECTING:
            time.sleep(0.01)
        (worker,) = workers.pids()
        os.sched_setaffinity(worker, {max(CPUS)})  # routed() keeps this process to the first
        os.setpriority(os.PRIO_PROCESS, worker, -15)  # else it lags where others want its CPU, and packets pass it by
        passed_by = _send(steps[:WARMING_STEPS], workers)
        served, began = done(workers), on_cpu(worker)
        passed_by += _send(steps[WARMING_STEPS:], workers)
        served = done(workers) - served
        took = on_cpu(worker) - began if workers.pids() == (worker,) else None
        (figures,) = workers.figures()
    finally:
        workers.stop()
    if took is None or not served:
        return None
    if wrong := figures.packets["failed"] + figures.packets["unreadable"]:
        raise SystemExit(f"{wrong} packets were not inspected, which costs less: {figures.packets}")
    return Outcome(took / served / 1000, passed_by, before + sum(step.packets for step in steps) - sent_on(netns))


def on_cpu(pid: int) -> int:
    """Nanoseconds that the process has had a CPU for (the kernel's sched-stats.rst)."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except FileNotFoundError:  # it was replaced
        return 0


def done(workers: Workers) -> int:
    """Packets that the worker has read and let go."""
    (figures,) = workers.figures()
    return sum(count for result, count in figures.packets.items() if result != "released")


def _send(steps: Iterable[Step], workers: Workers) -> int:
    """Send as fast as the worker is done with it, to the last packet; how many passed it by."""
    waiting, before = 0, done(workers)
    passed_by, progress = 0, time.monotonic()
    for most, step in (*((AT_ONCE, each) for each in steps), (0, _NOTHING)):
        while waiting > most:
            time.sleep(0.0001)
            now, served = time.monotonic(), done(workers)
            if served > before:
                waiting, before, progress = waiting - (served - before), served, now
            elif now - progress > PATIENCE:
                passed_by, waiting, progress = passed_by + waiting, 0, now
        for volley in step.volleys:
            volley.fire()
        waiting += step.packets
    return passed_by


class Mix(NamedTuple):
    """What is sent, and how many flows that are."""

    steps: tuple[Step, ...]
    flows: int

    @property
    def packets(self) -> int:
        """How many packets all of it is."""
        return sum(step.packets for step in self.steps)


def mixes(outlets: dict[str, socket.socket]) -> dict[str, Mix]:
    """The mixes by name; says what the captured one is like, or that there is none."""
    found = {"made": Mix(tuple(steps(outlets, mixed(MIXED_FLOWS))), MIXED_FLOWS)}
    flows = captured(CORPUS, load_configuration(ROOT / "rules/edged.yaml").streaming_hosts) if CORPUS.is_dir() else []
    if not flows:
        print(f"no corpus in {CORPUS}: made flows alone")
        return found
    print(f"captured: {len(flows)} flows, each some times; {told(flows)}")
    count = round(found["made"].packets / sum(len(flow.packets) for flow in flows) * len(flows))
    return found | {"captured": Mix(tuple(steps(outlets, repeated(flows, count))), count)}


def main() -> int:
    """Measure and print; 1 where the promise is not kept."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    if shutil.which("iptables") is None or len(CPUS) < 2:
        raise SystemExit("needs iptables (./bootstrap test installs it) and two CPUs")
    with routed() as (netns, outlets):
        for rule in ("FORWARD -j NFQUEUE --queue-num 0 --queue-bypass", "POSTROUTING"):
            Router(netns).run("iptables", "-t", "mangle", "-A", *rule.split())
        sending = mixes(outlets)
        found: dict[tuple[str, str], list[Outcome]] = {(mix, name): [] for mix in sending for name in FORMS}
        for _ in range(rounds):
            for (mix, name), outcomes in found.items():
                tried = (measure(netns, FORMS[name], sending[mix].steps) for _ in range(ATTEMPTS))
                outcome = next((each for each in tried if each is not None), None)
                if outcome is None:
                    raise SystemExit("workers get no CPU, and are replaced: this machine is too busy to measure on")
                outcomes.append(outcome)
    print(f"{rounds} rounds of a form and mix; CPU time of one core, without a NIC")
    held = [show(name, mix, found, rounds) for name, mix in sending.items()]
    return 0 if all(held) else 1


def show(name: str, mix: Mix, found: Mapping[tuple[str, str], list[Outcome]], rounds: int) -> bool:
    """Print what was found of a mix; whether the promise is kept."""
    inspected, accepted = found[name, "inspected"], found[name, "accepted"]
    costs, floor = [each.cost for each in inspected], [each.cost for each in accepted]
    table = Table()
    table.head(f"{name}: {mix.packets} packets of {mix.flows} flows", "us of CPU time a packet", "accepted")
    table.row("accepted, without a look", floor)
    table.against("inspected", costs, floor)
    table.row("inspected, as promised: 60,000 a second", costs, MOST, "us")
    table.say("inspected, packets a second", f"{1e6 / statistics.median(costs):,.0f}")
    table.say("inspected, new flows a second", f"{1e6 / statistics.median(costs) / mix.packets * mix.flows:,.0f}")
    table.say("packets that passed uninspected", f"{sum(each.passed_by for each in inspected) / mix.packets / rounds:.1%}")
    lost = sum(each.lost for each in (*inspected, *accepted))
    table.say("packets lost", str(lost), held=lost == 0)
    return table.held


if __name__ == "__main__":
    sys.exit(main())
