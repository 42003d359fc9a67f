"""How many packets a second one worker inspects on one core, beside one that accepts them without a look.

    python -m bench.inspect_queue [ROUNDS]          (root)

The router of forwarding.py, with a rule that sends every packet that it forwards to one queue. One CPU sends UDP datagrams of 200
bytes as fast as it can, more than a worker can take, so that packets always wait and the rest passes; the other CPU is the
worker's. A form's figure is the CPU time of its worker for each packet that this has done with: what the kernel does in the
worker's system calls is in it, and so is the packet's way on from the rule to the wire. The forms take turns.

The packets are of 512 flows each way. The rule of iptables is used, as in the tests, since some kernels lack nft's.
That no packet is lost is checked too: what the router sent on is counted in its last hook.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from bench._forwarding import FLOWS, MACS, Router, Volley, near_addresses, routed, web_server
from bench._table import Table
from edged.addresses import Address, Family
from edged.inspectors.post import State
from edged.inspectors.workers import Workers
from edged.marks import MarkFields
from tests.netns.differential.shots import checksum

ROOT = Path(__file__).parents[1]
FORMS = {"inspected": "tests/netns/inspector_program.py", "accepted": "bench/_accepting.py"}
MOST = 16.6  # us: 60,000 packets a second
WARMING, PACKETS = 2_000, 30_000  # of one worker, a form and round
ATTEMPTS = 5
PATIENCE = 60.0  # seconds
AT_ONCE = 64  # fewer than the queue is long: the worker has the next ones before it is done with these
CPUS = os.sched_getaffinity(0)
MARKS = MarkFields()


def frame(mac: str, source: Address, destination: Address, ports: tuple[int, int]) -> bytes:
    """A datagram of 200 bytes, without a checksum of its own (RFC 768 permits that), in an Ethernet frame."""
    payload = bytes(range(1, 201))
    segment = b"".join(port.to_bytes(2, "big") for port in ports) + (8 + len(payload)).to_bytes(2, "big") + bytes(2) + payload
    head = bytes((0x45, 0, *divmod(20 + len(segment), 256), 0, 0, 0, 0, 64, 17, 0, 0)) + source.packed + destination.packed
    head = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
    return bytes.fromhex(mac.replace(":", "")) + b"\x02" * 6 + b"\x08\x00" + head + segment


def volleys(outlets: dict[str, socket.socket]) -> list[Volley]:
    """A datagram of each flow, up and down."""
    near, far = near_addresses(Family.IPV4), web_server(Family.IPV4)
    up = [frame(MACS["lan0"], each, far, (20000 + place, 443)) for place, each in enumerate(near)]
    down = [frame(MACS["wan0"], far, each, (443, 20000 + place)) for place, each in enumerate(near)]
    volleys = []
    for start in range(0, FLOWS, AT_ONCE):
        for name, each in (("lan0", up), ("wan0", down)):
            volleys.append(Volley(outlets[name], each[start : start + AT_ONCE]))
    return volleys


def sent_on(netns: str) -> int:
    """How many packets have come past the router's last hook."""
    argv = ["ip", "netns", "exec", netns, "iptables", "-t", "mangle", "-vnxL", "POSTROUTING"]
    return int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[2].split()[0])


def measure(netns: str, program: str, firing: list[Volley]) -> tuple[float | None, int]:
    """Microseconds a packet, None where the worker was replaced, and how many packets did not come out of the router."""
    before = sent_on(netns)
    workers = Workers.start((sys.executable, "-B", str(ROOT / program)), [0], MARKS, netns=netns)
    try:
        while workers.figures()[0].state is not State.INSPECTING:
            time.sleep(0.01)
        (worker,) = workers.pids()
        os.sched_setaffinity(worker, {max(CPUS)})  # routed() keeps this process to the first
        os.setpriority(os.PRIO_PROCESS, worker, -15)  # else it lags where others want its CPU, and packets pass it by
        fired = _fire(firing, workers, WARMING)
        served, began = done(workers), on_cpu(worker)
        fired += _fire(firing, workers, served + PACKETS)
        served = done(workers) - served
        took = on_cpu(worker) - began if workers.pids() == (worker,) else None
    finally:
        workers.stop()
    return took and took / served / 1000, before + fired - sent_on(netns)


def on_cpu(pid: int) -> int:
    """Nanoseconds that the process has had a CPU for (the kernel's sched-stats.rst)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def done(workers: Workers) -> int:
    """Packets that the worker has read and let go."""
    (figures,) = workers.figures()
    return sum(count for result, count in figures.packets.items() if result != "released")


def _fire(firing: list[Volley], workers: Workers, until: int) -> int:
    """Send until the worker has done with that many packets; how many were sent."""
    fired, patience = 0, time.monotonic() + PATIENCE
    while done(workers) < until:
        for volley in firing:
            volley.fire()
        fired += len(firing) * AT_ONCE
        if time.monotonic() > patience:
            raise SystemExit("the worker gets no CPU: this machine is too busy to measure on")
    return fired


def main() -> int:
    """Measure and print; 1 where the promise is not kept."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    if shutil.which("iptables") is None or len(CPUS) < 2:
        raise SystemExit("needs iptables (./bootstrap test installs it) and two CPUs")
    found: dict[str, list[float]] = {name: [] for name in FORMS}
    lost = 0
    with routed() as (netns, outlets):
        for rule in ("FORWARD -p udp -j NFQUEUE --queue-num 0 --queue-bypass", "POSTROUTING -p udp"):
            Router(netns).run("iptables", "-t", "mangle", "-A", *rule.split())
        firing = volleys(outlets)
        for _ in range(rounds):
            for name, program in FORMS.items():
                for _ in range(ATTEMPTS):
                    took, missing = measure(netns, program, firing)
                    lost += missing
                    if took is not None:
                        found[name].append(took)
                        break
                else:
                    raise SystemExit("workers get no CPU, and are replaced: this machine is too busy to measure on")
    table = Table()
    print(f"{rounds} rounds of {PACKETS} packets a form; CPU time of one core, without a NIC")
    table.head("one worker", "us of CPU time a packet", "accepted")
    table.row("accepted, without a look", found["accepted"])
    table.against("inspected", found["inspected"], found["accepted"])
    table.row("inspected, as promised: 60,000 a second", found["inspected"], MOST, "us")
    table.say("packets lost", str(lost), held=lost == 0)
    return 0 if table.held else 1


if __name__ == "__main__":
    sys.exit(main())
