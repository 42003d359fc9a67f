"""A daemon that sees everything and tells nothing: no far end, name, payload or confidential entry is in what it writes.

All policies are in force. A subscriber's traffic of all kinds goes through, then what can go wrong does: broken files and lists,
strangers in nftables and tc, workers that die and hang with packets in hand, requests that are none, kill -9. Then everything
that edged wrote, said or kept is searched.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.errors import EdgedError
from edged.lab.topology import Topology
from tests.netns.daemon_process import Daemon, eventually
from tests.netns.secrecy.traffic import FAR, LISTED, ZONE, all_kinds, far_end
from tests.promises import Measured
from tests.secrecy import found

NEEDLES = (*FAR.needles, *LISTED.needles)
CAPS = """\
policy: caps
classes:
  p2p: {after: 20kB, down: 8mbit, up: 8mbit}
  streaming: {after: 20kB, down: 8mbit, up: 8mbit}
  bulk: {after: 50kB, sustained: 1mbit, for: 1s, down: 8mbit, up: 8mbit}
streaming_hosts: hosts/streaming.txt
pool: 8
"""
# what makes Python and edged as talkative as they get
TALKATIVE = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1", "EDGED_DEBUG": "1"}
COMMANDS = (
    ("check",),
    ("status",),
    ("status", "--json"),
    ("top", "--once"),
    ("top", "--json"),
    ("plan",),
    ("render",),
    ("render", "--tc"),
    ("doctor", "--json"),
    ("reload",),
    ("blocklist", "update"),
)


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    (made.folder / "rules.d/50-caps.yaml").write_text(CAPS)
    (made.folder / "hosts/streaming.txt").write_text(f"{ZONE}\n")
    authority(made, f"{LISTED.ipv4}\n{LISTED.ipv6}\n")
    yield made
    made.close()


def authority(daemon: Daemon, text: str) -> None:
    """The content of the confidential list."""
    (daemon.folder / "lists/authority.txt").write_text(text)


class Said:
    """Everything that edged said: commands' outputs, answers on its sockets, errors that clients got."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.texts: dict[str, bytes] = {}

    def note(self, what: str, text: str | bytes) -> None:
        self.texts[f"{len(self.texts)} {what}"] = text.encode(errors="surrogateescape") if isinstance(text, str) else text

    def commands(self) -> None:
        for words in COMMANDS:
            done = self.daemon.host.run(
                ["env", "EDGED_DEBUG=1", sys.executable, "-m", "edged", *words, "-c", str(self.daemon.config)], timeout=60
            )
            self.note(" ".join(words), done.stdout + done.stderr)

    def curl(self, *words: str) -> None:
        self.note(f"curl {words[-1].partition('/v1')[2]}", self.daemon.host.run(["curl", "-s", "-m", "5", *words]).stdout)

    def reload(self) -> None:
        try:
            self.note("reload", str(self.daemon.client.reload()))
        except EdgedError as error:
            self.note("reload", "\n".join((str(error), *map(str, getattr(error, "problems", ())))))

    def files(self) -> None:
        """The daemon's logs and state, but for the lists that it keeps."""
        for path in (*self.daemon.folder.glob("log*"), *(self.daemon.folder / "state").rglob("*")):
            if path.is_file() and path.parent.name != "lists":
                self.note(path.name, path.read_bytes())


@contextmanager
def going_on(topology: Topology) -> Iterator[None]:
    """The traffic, again and again for as long as the context lasts."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            for family in Family:
                with suppress(OSError):  # a connection that a broken gateway cuts
                    all_kinds(topology, family)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def workers(daemon: Daemon) -> list[int]:
    """The inspectors' processes."""
    listed = daemon.host.run(["ip", "netns", "pids", daemon.host.netns]).stdout.split()
    words = ((int(pid), Path(f"/proc/{pid}/cmdline")) for pid in listed)
    return [pid for pid, path in words if path.exists() and b"edged.inspectors" in path.read_bytes()]


def wrong_files(said: Said) -> None:
    """Broken lists and policies, each tried by a reload, and mended again."""
    daemon = said.daemon
    good = f"{LISTED.ipv4}\n{LISTED.ipv6}\n"
    for text in (
        f"{LISTED.ipv4}/33\n{LISTED.payload.decode()}\n{LISTED.ipv6}/129\n",
        f"{LISTED.name}\n" * 50,
        f"{LISTED.ipv4}/4\n",
        f"<html>{LISTED.payload.decode()}</html>\n",
        f"{LISTED.ipv4}\n{daemon.host.ipv4}\n",
        f"{good}{LISTED.ipv4}\0\n",
        good * 2,
    ):
        authority(daemon, text)
        said.reload()
    authority(daemon, good)
    daemon.write("rules.d/20-op25b.yaml", "mode: enforce", "mode: enforced")
    said.reload()
    daemon.write("rules.d/20-op25b.yaml", "mode: enforced", "mode: enforce")
    said.reload()


def strangers(topology: Topology) -> None:
    """Others at work in nftables, tc and conntrack."""
    for words in (
        "nft flush ruleset",
        "nft delete table inet edged",
        "nft add rule inet edged forward accept",
        "tc qdisc del dev lan0 root",
        "tc qdisc replace dev wan0 root tbf rate 1gbit burst 100kb latency 10ms",
        "tc qdisc del dev wan0 root",
        "conntrack -F",
        "ip link set wan0 down",
        "ip link set wan0 up",
    ):
        topology.gateway.run(words.split())
        time.sleep(0.1)


def requests_that_are_none(said: Said) -> None:
    """Requests with the far end in all the places that a log could have."""
    far, unix = str(FAR.ipv4), ("--unix-socket", str(said.daemon.client.path))
    said.curl(*unix, f"http://edged/v1/{FAR.name}")
    said.curl(*unix, "-d", f'{{"address": "{far}", "x": "{FAR.name}"', "http://edged/v1/blocklist/test")
    said.curl(*unix, "-d", f'{{"address": "{far}"}}', "-o", "/dev/null", "http://edged/v1/blocklist/test")  # asked for by name
    said.curl(*unix, "-H", f"Cookie: {FAR.payload.decode()}", "-X", "BREW", "http://edged/v1/status")
    said.curl(f"http://127.0.0.1:9825/{FAR.name}?name={far}")
    for sent in (FAR.payload * 10_000, f"GET /{FAR.name}\0 HTTP/9\r\n\r\n".encode()):
        with said.daemon.host.socket(socket.AF_INET, socket.SOCK_STREAM) as connection, suppress(OSError):
            connection.connect(("127.0.0.1", 9825))
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.connect(str(said.daemon.client.path))
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)


def dying_workers(daemon: Daemon) -> None:
    """Workers that hang, and die, with packets in hand."""
    for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV):
        eventually(lambda: workers(daemon), 10)
        for pid in workers(daemon):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(0.5)


def looked_at(daemon: Daemon) -> bool:
    """Whether every policy has met the traffic, and inspectors have found the classes in it."""
    status = daemon.client.status()
    counted = {each["policy"]: sum(one["packets"] for one in each["counters"]) for each in status["policies"]}
    caps = status["caps"]
    flows = caps["queues"][0]["flows"] if caps is not None else {}
    return all(counted.values()) and all(flows.get(each) for each in ("p2p", "streaming", "other"))


@pytest.mark.promise(21)
def test_nothing_of_what_a_subscriber_communicates_is_in_anything_that_edged_writes(
    topology: Topology, daemon: Daemon, measured: Measured
) -> None:
    said = Said(daemon)
    with far_end(topology):
        daemon.start(owner=None, **TALKATIVE)
        with going_on(topology):
            eventually(lambda: looked_at(daemon), 60)
            eventually(lambda: daemon.client.top(10)["uses"], 20)
            strangers(topology)
            dying_workers(daemon)
        wrong_files(said)
        requests_that_are_none(said)
        said.commands()
        said.note("metrics", daemon.host.run(["curl", "-sf", "http://127.0.0.1:9825/metrics"], check=True).stdout)
        daemon.kill()
        daemon.start(owner=daemon.systemd.kept.get("nft"), **TALKATIVE)
        if os.environ.get("EDGED_PROFILE") == "long":
            with going_on(topology):
                eventually(lambda: looked_at(daemon), 60)
                said.commands()
    assert daemon.stop() == 0
    said.files()
    told = {what: leaks for what, text in said.texts.items() if (leaks := lines_with(text))}
    assert not told, f"what must stay secret was told: {told}"
    size = sum(map(len, said.texts.values())) / 1000
    measured(f"0 of {len(NEEDLES)} forms of far ends, names, payloads and confidential entries in {size:,.0f} kB of one daemon's")


def lines_with(text: bytes) -> list[bytes]:
    """The lines that hold what they must not."""
    return [line[:300] for line in text.splitlines() if found(line, NEEDLES)]
