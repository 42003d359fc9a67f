"""A real daemon that holds a real stream to its cap, and all the ways in which an operator sees that; then it is torn down."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edged.addresses import Family
from edged.lab.topology import Topology
from tests.netns.daemon_process import Daemon, eventually

CAPS = """\
policy: caps
classes:
  streaming: {after: 100kB, down: 8mbit, up: 8mbit}
pool: 8
"""
FOREIGN = "qdisc add dev wan0 root handle 2: tbf rate 1gbit burst 100kb latency 10ms"
SERVER = """
import http.server
class Video(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(1 << 34))
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(65536))
        except OSError:
            pass
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 80), Video).serve_forever()
"""


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    (made.folder / "rules.d" / "50-caps.yaml").write_text(CAPS)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def a_stream(topology: Topology) -> Iterator[None]:
    """A subscriber watches a film for as long as the context lasts."""
    server = topology.web.popen([sys.executable, "-c", SERVER])
    address = str(topology.web.address(Family.IPV4))
    command = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "--retry",
        "20",
        "--retry-connrefused",
        "--retry-delay",
        "1",
        f"http://{address}/",
    ]
    client = topology.dynamic.popen(command)
    try:
        yield
    finally:
        for process in (client, server):
            process.kill()
            process.wait()


def edged(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return daemon.host.run([sys.executable, "-m", "edged", *arguments, "-c", str(daemon.config)])


def queueing(topology: Topology) -> str:
    return "".join(
        topology.gateway.run(["tc", what, "show", "dev", name], check=True).stdout
        for what in ("qdisc", "class")
        for name in ("lan0", "wan0")
    )


def shaped(daemon: Daemon) -> bool:
    caps = daemon.client.status()["caps"]
    assert caps is not None
    return caps["capped"] == [{"class": "streaming", "shaped": 1, "policed": 1}]


def test_a_capped_stream_as_operators_see_it(topology: Topology, daemon: Daemon) -> None:
    topology.gateway.run(["tc", *FOREIGN.split()], check=True)
    before = queueing(topology)
    daemon.start()
    subscriber = f"{topology.dynamic.address(Family.IPV4)}/32"
    with a_stream(topology):
        eventually(lambda: shaped(daemon), 20)
        time.sleep(5)  # two measurements that are of the cap alone

        status = daemon.client.status()
        caps = status["caps"]
        assert caps is not None
        up, down = caps["directions"]
        assert (up["pool"], down["pool"], down["leased"]) == (0, 8, 1)
        assert "tbf" in up["policed"]
        (queue,) = caps["queues"]
        assert (queue["state"], queue["flows"]["streaming"]) == ("inspecting", 1)
        assert queue["packets"]["decided"] >= 1
        assert [each["what"] for each in status["degraded"]] == ["shaping up"]

        told = edged(daemon, "status")
        assert told.returncode == 8, told.stdout + told.stderr
        assert "degraded: shaping up: wan0 has a root qdisc that is not edged's (tbf)" in " ".join(told.stdout.split())

        shown = json.loads(edged(daemon, "top", "--json").stdout)
        assert [(each["subscriber"], each["direction"], each["method"]) for each in shown["uses"]] == [
            (subscriber, "down", "shape"),
            (subscriber, "up", "police"),
        ]
        assert 7e6 < shown["uses"][0]["rate"] < 8.5e6, shown
        assert subscriber in edged(daemon, "top", "--once").stdout

        found = daemon.metrics()
        assert found['edged_capped_subscribers{class="streaming",method="shape"}'] == 1
        assert found['edged_capped_subscribers{class="streaming",method="police"}'] == 1
        eventually(lambda: daemon.metrics()['edged_capped_bytes_total{class="streaming",direction="down"}'] > 4e6)
        assert found['edged_flows_classified_total{class="streaming"}'] == 1
        assert found['edged_queue_packets_total{queue="0",result="decided"}'] == queue["packets"]["decided"]
        assert found['edged_capability{feature="htb"}'] == 1
        assert not [name for name in found if str(topology.dynamic.address(Family.IPV4)) in name], "no subscriber in a label"

        planned = edged(daemon, "plan", "--exit-code")
        assert planned.returncode == 0, planned.stdout
        assert "queueing, as it is: up: wan0" in planned.stdout
        assert "by the daemon" not in planned.stdout, "leases are no differences"

        daemon.write("rules.d/50-caps.yaml", "pool: 8", "pool: 8\nqueues: 2")
        daemon.client.reload()
        eventually(lambda: 'edged_queue_packets_total{queue="1",result="decided"}' in daemon.metrics())
        later = daemon.metrics()
        gone_back = {
            name: (found[name], later.get(name)) for name in found if "_total" in name and later.get(name, -1) < found[name]
        }
        assert not gone_back

        torn = daemon.client.teardown()
        assert torn == {"removed": True, "devices": ["lan0"]}
        assert queueing(topology) == before
        time.sleep(0.5)
        assert queueing(topology) == before, "the daemon made its trees once more"
        assert daemon.client.status()["caps"] is None
        daemon.client.reload()
        eventually(lambda: "htb ed:" in queueing(topology))


def test_what_a_dead_daemon_left_is_torn_down_without_it(topology: Topology, daemon: Daemon) -> None:
    topology.gateway.run(["tc", *FOREIGN.split()], check=True)
    before = queueing(topology), topology.gateway.run(["nft", "list", "ruleset"]).stdout
    daemon.start()
    eventually(lambda: "htb ed:" in queueing(topology))
    daemon.kill()
    for name in list(daemon.systemd.kept):
        daemon.systemd.drop(name)
    assert edged(daemon, "top").returncode == 4
    assert "removed table inet edged and the queueing of lan0" in edged(daemon, "teardown").stdout
    assert (queueing(topology), topology.gateway.run(["nft", "list", "ruleset"]).stdout) == before


@pytest.mark.parametrize("query", ["", "?limit=", "?limit=-1", "?limit=x", "?limit=1234567890"])
def test_a_limit_that_is_no_number_is_refused(topology: Topology, daemon: Daemon, query: str) -> None:
    daemon.start()
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", str(daemon.client.path)]
    assert topology.gateway.run([*command, f"http://edged/v1/top{query}"]).stdout == "400"


def test_a_foreign_root_goes_where_the_files_say_so(topology: Topology, daemon: Daemon) -> None:
    topology.gateway.run(["tc", *FOREIGN.split()], check=True)
    daemon.write("rules.d/50-caps.yaml", "pool: 8", "pool: 8\nreplace_qdiscs: [wan0]")
    assert "replace the root tbf by htb, add a class (9 times)" in edged(daemon, "plan").stdout
    daemon.start()
    eventually(lambda: queueing(topology).count("qdisc htb ed:") == 2)
    assert "tbf" not in queueing(topology)
    assert daemon.client.status()["degraded"] == []
