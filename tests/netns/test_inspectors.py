"""Workers at live queues: what they answer, and that nothing that becomes of them costs or delays a packet."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.errors import KernelError
from edged.inspect.sight import TrafficClass
from edged.inspectors.queue import Queue
from edged.inspectors.workers import LENGTH, MEMORY, Workers
from edged.kernel.namespace import inside
from edged.lab.topology import Topology
from tests.netns.daemon_process import eventually
from tests.netns.queued import FOREIGN, MARKS, PORT, PROGRAM, Traffic, ask, await_inspection, inspected, packets, queue_through
from tests.promises import Measured

NET_ADMIN = 1 << 12
QUICKLY = 0.1  # seconds in which 99 of 100 packets are to arrive, whatever becomes of a worker


def the_worker(workers: Workers) -> int:
    (pid,) = workers.pids()
    return pid


def restarts(workers: Workers) -> int:
    return sum(each.restarts for each in workers.figures())


def said(traffic: Traffic, what: str) -> str:
    lost, late = len(traffic.lost()), traffic.percentile(0.99) * 1e3
    return f"a worker {what}: {lost} of {traffic.sent} packets lost, {late:.1f} ms (p99)"


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (b"\x13BitTorrent protocol", 0x0009_0000),
        (b"RTSP/1.0 200 OK", 0x000A_0000),
        (b"something else", 0x0008_0000),
        (b"?", 0),
        (b"raises", 0),
    ],
)
def test_the_mark_tells_the_answer_and_keeps_foreign_bits(
    topology: Topology, family: Family, payload: bytes, answer: int
) -> None:
    tool = "iptables" if family is Family.IPV4 else "ip6tables"
    seen = [tool, "-t", "mangle", "-A", "POSTROUTING", "-p", "udp", "-m", "mark", "--mark", f"{FOREIGN | answer:#x}/0xffffffff"]
    topology.gateway.run(seen, check=True)
    with inspected(topology) as workers:
        assert ask(topology, family, payload)
        found = topology.gateway.run([tool, "-t", "mangle", "-vnxL", "POSTROUTING"], check=True).stdout.splitlines()[2].split()
        assert found[0] == "1"
        # a packet is counted when it has gone on
        eventually(lambda: sum(workers.figures()[0].packets.values()) == 1)
        (figures,) = workers.figures()
    decided = {"decided": 1} if answer else {"failed": 1} if payload == b"raises" else {"undecided": 1}
    assert figures.packets == {"undecided": 0, "decided": 0, "unreadable": 0, "failed": 0, "released": 0} | decided
    classes = {0x0009_0000: TrafficClass.P2P, 0x000A_0000: TrafficClass.STREAMING, 0x0008_0000: None}
    assert sum(figures.flows.values()) == bool(answer)
    assert not answer or figures.flows[classes[answer]] == 1


def test_a_flow_counts_once_though_all_its_packets_are_answered(topology: Topology) -> None:
    with inspected(topology) as workers:
        for _ in range(3):
            assert ask(topology, Family.IPV4, b"RTSP/1.0 200 OK", source=7777)
        assert ask(topology, Family.IPV4, b"RTSP/1.0 200 OK", source=7778)
        eventually(lambda: workers.figures()[0].packets["decided"] == 4)
        assert workers.figures()[0].flows[TrafficClass.STREAMING] == 2


@pytest.mark.promise(5)
def test_a_killed_worker_costs_no_packet(topology: Topology, measured: Measured) -> None:
    with inspected(topology) as workers:
        first = the_worker(workers)
        with Traffic(topology, 0.001) as traffic:
            for _ in range(3):
                time.sleep(0.2)
                await_inspection(workers)
                os.kill(the_worker(workers), signal.SIGKILL)
                eventually(lambda: all(each.state.name != "INSPECTING" for each in workers.figures()))
            await_inspection(workers)
        assert restarts(workers) == 3
        assert the_worker(workers) != first
    assert traffic.sent > 600
    assert traffic.lost() == []
    assert traffic.percentile(0.99) < QUICKLY
    measured(said(traffic, "killed three times"))


@pytest.mark.promise(5)
def test_a_stopped_worker_costs_no_packet_and_is_replaced(topology: Topology, measured: Measured) -> None:
    with inspected(topology) as workers, Traffic(topology, 0.001) as traffic:
        time.sleep(0.2)
        first = the_worker(workers)
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: restarts(workers) == 1, 3)
        await_inspection(workers)
        assert the_worker(workers) != first
        time.sleep(0.2)
        (figures,) = workers.figures()
    assert figures.lags >= 1
    assert figures.packets["released"] > 0
    assert traffic.lost() == []
    assert traffic.percentile(0.99) < QUICKLY
    assert max(traffic.delays.values()) < 1.0
    measured(said(traffic, "stopped"))


def test_a_burst_longer_than_the_queue_passes_a_stopped_worker(topology: Topology) -> None:
    with inspected(topology) as workers:
        os.kill(the_worker(workers), signal.SIGSTOP)
        with Traffic(topology, 0, LENGTH * 4) as traffic:
            eventually(lambda: traffic.sent == LENGTH * 4)
        (figures,) = workers.figures()
    assert traffic.lost() == []
    # those that waited were let go, the others never waited
    assert figures.packets["released"] == LENGTH


@pytest.mark.promise(5)
@pytest.mark.parametrize(("seconds", "why"), [(1.0, "a packet a second"), (0.01, "a hundred packets a second")])
def test_a_slow_worker_delays_no_flow(topology: Topology, seconds: float, why: str, measured: Measured) -> None:
    with inspected(topology, slow=seconds) as workers, Traffic(topology, 0.002) as traffic:
        time.sleep(4)
        (figures,) = workers.figures()
    # packets pass for longer each time: 0.1, 0.2, 0.4 ... seconds
    assert 2 <= figures.lags <= 6, why
    assert figures.restarts > 0 or seconds < 1
    assert traffic.lost() == []
    assert traffic.percentile(0.99) < QUICKLY
    measured(said(traffic, f"at {why}"))


@pytest.mark.promise(5)
def test_connections_open_and_go_on_past_workers_that_are_stopped_and_killed(topology: Topology, measured: Measured) -> None:
    took, longest = [], 0.0
    with inspected(topology, queues=2) as workers, topology.web.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((str(topology.web.ipv4), PORT))
        listener.listen(64)
        with topology.dynamic.socket(socket.AF_INET, socket.SOCK_STREAM) as lasting:
            lasting.connect((str(topology.web.ipv4), PORT))
            answering, _ = listener.accept()
            lasting.settimeout(2)
            until, hurt = time.monotonic() + 4, 0.0
            while time.monotonic() < until:
                if time.monotonic() > hurt:
                    hurt = time.monotonic() + 0.7
                    for pid, how in zip(workers.pids(), (signal.SIGSTOP, signal.SIGKILL), strict=False):
                        os.kill(pid, how)
                began = time.monotonic()
                with topology.dynamic.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
                    opened.settimeout(3)
                    started = time.monotonic()
                    opened.connect((str(topology.web.ipv4), PORT))
                    took.append(time.monotonic() - started)
                    listener.accept()[0].close()
                started = time.monotonic()
                answering.send(b"x" * 1000)
                assert lasting.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
                longest = max(longest, time.monotonic() - started)
                time.sleep(max(0.0, began + 0.005 - time.monotonic()))
            answering.close()
        assert restarts(workers) >= 2
    took.sort()
    assert len(took) > 200
    assert took[int(len(took) * 0.99)] < QUICKLY
    assert longest < 1.0
    measured(
        f"two workers, one stopped and one killed each 0.7 s: {len(took)} of {len(took)} connections opened, within "
        f"{took[int(len(took) * 0.99)] * 1e3:.1f} ms (p99); one that lasts waited {longest * 1e3:.0f} ms at most"
    )


def test_a_long_transfer_passes_whole(topology: Topology) -> None:
    sent = os.urandom(4 << 20)
    with inspected(topology) as workers, topology.web.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((str(topology.web.ipv4), PORT))
        listener.listen()
        with topology.dynamic.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
            opened.settimeout(10)
            opened.connect((str(topology.web.ipv4), PORT))
            answering, _ = listener.accept()
            sending = threading.Thread(target=answering.sendall, args=(sent,))
            sending.start()
            with answering, opened.makefile("rb") as reader:
                received = reader.read(len(sent))
                sending.join()
        assert received == sent
        (figures,) = workers.figures()
    assert figures.packets["unreadable"] == figures.packets["failed"] == 0
    assert sum(figures.packets.values()) > 10


@pytest.mark.parametrize(("word", "survives"), [(b"hangs", False), (b"hoards", False), (b"raises", True)])
def test_an_inspector_at_fault_costs_no_packet(topology: Topology, word: bytes, survives: bool) -> None:
    with inspected(topology) as workers:
        first = the_worker(workers)
        assert ask(topology, Family.IPV6, word)
        if survives:
            eventually(lambda: packets(workers, "failed") == 1)
        else:
            eventually(lambda: restarts(workers) == 1, 10)
        await_inspection(workers)
        assert (the_worker(workers) == first) is survives
        assert ask(topology, Family.IPV4, b"RTSP/1.0")
        eventually(lambda: packets(workers, "decided") == 1)


def test_what_one_worker_learns_the_others_know(topology: Topology) -> None:
    for number, host in enumerate((topology.dynamic, topology.static)):
        rule = f"iptables -t mangle -A FORWARD -p udp -s {host.ipv4} -j NFQUEUE --queue-num {number} --queue-bypass"
        topology.gateway.run(rule.split(), check=True)
    with inspected(topology, queues=2) as workers:

        def other_flows_class() -> TrafficClass | None:
            before = workers.figures()[1]
            with topology.static.socket(socket.AF_INET, socket.SOCK_DGRAM) as outbox:
                outbox.bind((str(topology.static.ipv4), 0))
                outbox.sendto(b"something", (str(topology.web.ipv4), PORT))
            eventually(lambda: workers.figures()[1].packets != before.packets)
            (found,) = (each for each, count in workers.figures()[1].flows.items() if count != before.flows[each])
            return found

        assert other_flows_class() is None
        assert ask(topology, Family.IPV4, b"named")
        eventually(lambda: other_flows_class() is TrafficClass.P2P, 1)


def test_a_worker_can_do_little(topology: Topology) -> None:
    with inspected(topology) as workers:
        pid = the_worker(workers)
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert int(found["CapPrm"], 16) == int(found["CapEff"], 16) == NET_ADMIN
        assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0
        assert found["NoNewPrivs"] == "1"
        assert found["Uid"].split() == found["Gid"].split() == ["65534"] * 4
        assert found["Groups"] == ""
        limits = {line[:26].strip(): line[26:].split()[1] for line in Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]}
        assert limits["Max address space"] == str(MEMORY)
        assert limits["Max processes"] == limits["Max core file size"] == "0"
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""


SUPERVISOR = """
import sys, time
from edged.marks import MarkFields
from edged.inspectors.workers import Workers
workers = Workers.start(sys.argv[2:], [0], MarkFields(), b"", sys.argv[1])
while workers.figures()[0].state.name != "INSPECTING":
    time.sleep(0.01)
print(*workers.pids(), flush=True)
time.sleep(60)
"""


@pytest.mark.promise(5)
def test_a_killed_supervisor_costs_no_packet_and_leaves_nobody(topology: Topology, measured: Measured) -> None:
    queue_through(topology, 1)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-B", "-c", SUPERVISOR, topology.gateway.netns, *PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as supervisor:
        assert supervisor.stdout is not None
        worker = int(supervisor.stdout.readline())
        with Traffic(topology, 0.001) as traffic:
            time.sleep(0.2)
            # packets wait for the worker, and nobody is there to let them go
            os.kill(worker, signal.SIGSTOP)
            supervisor.kill()
            supervisor.wait()
            time.sleep(0.1)
            waited = traffic.sent - len(traffic.delays)
            os.kill(worker, signal.SIGCONT)
            eventually(lambda: not Path(f"/proc/{worker}/fd").exists() or not any(Path(f"/proc/{worker}/fd").iterdir()), 3)
            time.sleep(0.1)
    assert waited > 10
    assert traffic.lost() == []
    measured(f"supervisor killed, {waited} packets waiting for a stopped worker: {len(traffic.lost())} of {traffic.sent} lost")
    Queue.bind(0, topology.gateway.netns).close()


def test_the_end_of_all_costs_no_packet_and_gives_the_queues_up(topology: Topology) -> None:
    with Traffic(topology, 0.001) as traffic:
        with inspected(topology, queues=2) as workers:
            with pytest.raises(KernelError, match="cannot bind queue 1"):
                Workers.start(PROGRAM, [5, 1], MARKS, netns=topology.gateway.netns)
            pids = workers.pids()
            assert len(pids) == 2
            time.sleep(0.2)
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        time.sleep(0.1)
    assert traffic.lost() == []
    bound = inside(topology.gateway.netns, lambda: Path("/proc/thread-self/net/netfilter/nfnetlink_queue").read_text())
    assert bound == ""
