"""How long edged takes to put the shipped rules into the kernel, beside `nft -f` of the same ruleset, in one run.

    python -m bench.apply [ROUNDS]          (root)

Each round, in a network namespace of its own and in turn: edged from an empty kernel (compile, observe, diff, commit), edged
from another policy in place, edged where nothing is to do, and nft from an empty kernel. Files are read before: what is
measured is edged's own work and the kernel's. nft is a process that starts, parses and commits; `nft -c -f` beside it does
all but commit. The promise is 20 ms for edged; a median above it is exit code 1.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from bench._namespaces import namespace
from edged.enforce import enforce
from edged.kernel.linux import LinuxKernel
from edged.loader import Configuration, load
from edged.ruleset.nodes import QueueForm
from edged.ruleset.plan import Desired
from edged.ruleset.queueing import queued
from edged.ruleset.render import render

PROMISE = 20.0  # ms
EXAMPLE = Path(__file__).parents[1] / "rules"


def other_policy(folder: Path) -> Configuration:
    """The example with policy spoof off and other exempt servers."""
    subprocess.run(["cp", "-r", f"{EXAMPLE}/.", folder], check=True)
    spoof, op25b = folder / "rules.d/40-spoof.yaml", folder / "rules.d/20-op25b.yaml"
    spoof.write_text(spoof.read_text().replace("mode: enforce", "mode: observe"))
    op25b.write_text(op25b.read_text().replace("192.0.2.25,", "192.0.2.26,"))
    return load(folder / "edged.yaml", now=datetime.now(UTC))


def milliseconds(work: Callable[[], object]) -> float:
    """The wall time of the work."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def main() -> int:
    """Measure and print; 1 where the promise is not kept."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    shipped = load(EXAMPLE / "edged.yaml", now=datetime.now(UTC))
    times: dict[str, list[float]] = {}

    def note(name: str, work: Callable[[], object]) -> None:
        times.setdefault(name, []).append(milliseconds(work))

    with tempfile.TemporaryDirectory() as folder, namespace("apply") as netns, closing(LinuxKernel(netns)) as kernel:
        other = other_policy(Path(folder))
        able = kernel.capabilities()
        text = Path(folder) / "ruleset.nft"
        # nft writes no queue of another form: there its rules are fewer
        written = queued(shipped.table(int(time.time())), able.queue if able.queue is QueueForm.EXPRESSION else None)
        text.write_text(render(written, int(time.time())))
        nft = ["ip", "netns", "exec", netns, "nft"]
        started = ["ip", "netns", "exec", netns, "true"]

        def put(configuration: Configuration) -> None:
            enforce(kernel, Desired(configuration.table(int(time.time())), able.lock, able.queue), time.time)

        for _ in range(rounds + 1):
            note("edged, from an empty kernel", lambda: put(shipped))
            note("edged, nothing to do", lambda: put(shipped))
            put(other)
            note("edged, from another policy", lambda: put(shipped))
            enforce(kernel, None, time.time)
            note("nft -f, from an empty kernel", lambda: subprocess.run([*nft, "-f", text], check=True))
            note("nft -c -f", lambda: subprocess.run([*nft, "-c", "-f", text], check=True))
            note("(starting a process there)", lambda: subprocess.run(started, check=True))
            enforce(kernel, None, time.time)
    rules = sum(1 for _ in shipped.table(int(time.time())).rules())
    print(f"the shipped example: {rules} rules; {rounds} rounds, ms{'':9}{'median':>8}{'min':>8}{'max':>8}   target")
    held = True
    for name, found in times.items():
        median = statistics.median(found[1:])
        verdict = ""
        if name.startswith("edged"):
            held = held and median <= PROMISE
            verdict = f"<= {PROMISE:.0f}  {'held' if median <= PROMISE else 'NOT HELD'}"
        print(f"{name:53}{median:8.1f}{min(found[1:]):8.1f}{max(found[1:]):8.1f}   {verdict}")
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
