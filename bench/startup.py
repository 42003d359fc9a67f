"""How long `edged status` and `edged check` take from start to end, on a warm cache, beside Python and its imports alone.

    python -m bench.startup [RUNS]

The promise is 0.25 s each; more is exit code 1. `status` is answered by a stand-in for the daemon, so its whole screen is drawn.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROMISE = 0.25
EXAMPLE = Path(__file__).parents[1] / "rules" / "edged.yaml"

COUNTERS = [
    {"direction": direction, "family": family, "verdict": "drop", "packets": 123456, "bytes": 7407360}
    for direction in ("up", "down")
    for family in ("ipv4", "ipv6")
]
STATUS = {
    "schema": "edged/v1/status",
    "gateway": "gw1",
    "version": "0",
    "pid": 1,
    "in_sync": True,
    "enforcing": True,
    "generation": 1,
    "lock": "owner, persist",
    "configuration": {
        "path": str(EXAMPLE),
        "last_reload_successful": True,
        "last_reload_success": 1.0,
        "running": "files",
    },
    "confirm": None,
    "drift_repairs": {},
    "last_drift": None,
    "interfaces": {"lan0": True, "wan0": True},
    "policies": [
        {"policy": name, "mode": "enforce", "file": "rules.d/x.yaml:1", "counters": COUNTERS}
        for name in ("spoof", "op25b", "ip53b")
    ],
    "degraded": [],
    "warnings": [],
    "metrics": "127.0.0.1:9825",
}


def serve(listener: socket.socket) -> None:
    """Answer every connection with the status."""
    body = json.dumps(STATUS).encode()
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def seconds(command: list[str], runs: int) -> list[float]:
    """The wall time of each run, after one that warms the cache."""
    found = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        found.append(time.perf_counter() - began)
    return found[1:]


def main() -> int:
    """Measure and print; 1 where a promise is not kept."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/control.sock")
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        edged = [python, "-m", "edged"]
        cases = {
            "python": [python, "-c", "pass"],
            "python, pydantic, yaml": [python, "-c", "import pydantic, yaml; pydantic.create_model('M', x=(int, 0))"],
            "python, click, rich": [python, "-c", "import click, rich.table, rich.console"],
            "edged status": [*edged, "status", "-c", str(EXAMPLE), "--socket", f"{folder}/control.sock"],
            "edged check": [*edged, "check", "-c", str(EXAMPLE)],
        }
        too_slow = False
        print(f"{'':26}{'median':>8}{'min':>8}   {runs} runs each, seconds")
        for name, command in cases.items():
            times = seconds(command, runs)
            median = statistics.median(times)
            over = name.startswith("edged") and median > PROMISE
            too_slow = too_slow or over
            print(f"{name:26}{median:8.3f}{min(times):8.3f}{f'   over the promised {PROMISE} s' if over else ''}")
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
