"""The daemon as a real process on the real kernel: strangers, sudden deaths, descriptor store, reload, confirm, metrics."""

from __future__ import annotations

import asyncio
import json
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edged.addresses import Family
from edged.clock import SystemClock
from edged.control.client import DaemonRefused
from edged.daemon.drift import Reason, Suspects
from edged.daemon.keeper import Keeper
from edged.daemon.totals import Totals
from edged.daemon.watch import RulesetWatch
from edged.errors import ExitCode
from edged.kernel.events import NftEvents
from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Topology
from edged.loader import load
from edged.ruleset.plan import Lock
from tests.netns.daemon_process import Daemon, eventually
from tests.netns.topology import INET
from tests.tiers import require

NOW = datetime.now(UTC)
OP25B = "rules.d/20-op25b.yaml"


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    try:
        yield made
    finally:
        made.close()


def need_lock(daemon: Daemon, lock: Lock) -> None:
    if daemon.client.status()["lock"] != lock.value:
        require("netns", f"needs a kernel that can lock a table as {lock.value!r}")


def refused(daemon: Daemon, call: str, *arguments: object) -> DaemonRefused:
    with pytest.raises(DaemonRefused) as caught:
        getattr(daemon.client, call)(*arguments)
    return caught.value


def observes(daemon: Daemon) -> bool:
    return "op25b_up_ip_observe" in daemon.table()


@pytest.mark.promise(17)
def test_ready_means_that_the_policy_is_in_force_and_stopping_leaves_it_there(daemon: Daemon) -> None:
    daemon.start(WATCHDOG_USEC="400000")
    table = daemon.table()
    assert "op25b_up" in table
    assert [each.partition("\n")[0] for each in daemon.systemd.messages] == ["FDSTOREREMOVE=1", "FDSTORE=1", "READY=1"]
    assert "STATUS=The files are in force" in daemon.systemd.messages[-1]
    for _ in range(3):
        daemon.systemd.wait_for("WATCHDOG=1", 5.0)
    status = daemon.client.status()
    assert (status["in_sync"], status["enforcing"], status["degraded"]) == (True, True, [])
    assert daemon.stop() == ExitCode.DONE
    assert daemon.table() == table or status["lock"] == Lock.OWNER.value
    assert not (daemon.folder / "control.sock").exists()
    assert "the policy stays in force" in daemon.log()


def test_strangers_cannot_touch_the_table_and_a_second_daemon_is_refused(daemon: Daemon) -> None:
    daemon.start()
    if daemon.client.status()["lock"] == Lock.NONE.value:
        require("netns", "needs a kernel with the owner flag (5.12)")
    table = daemon.table()
    daemon.host.run(["nft", "add", "table", "inet", "theirs"], check=True)
    daemon.host.run(["nft", "flush", "ruleset"], check=True)
    denied = daemon.host.run(["nft", "delete", "table", "inet", "edged"])
    assert "Operation not permitted" in denied.stderr
    assert daemon.table() == table
    assert sum(daemon.client.status()["drift_repairs"].values()) == 0

    first = daemon.process
    daemon.launch()  # the same control socket
    assert daemon.process.wait(30) == ExitCode.REFUSED
    assert "an edged daemon runs already" in daemon.log()
    daemon.write("edged.yaml", "control.sock", "other.sock")
    daemon.launch()  # the same kernel
    assert daemon.process.wait(30) == ExitCode.REFUSED
    assert "belongs to another running process" in daemon.log()
    assert first.poll() is None
    assert daemon.table() == table
    assert daemon.client.status()["in_sync"]


def test_kill_9_and_a_restart_keep_the_table(daemon: Daemon) -> None:
    daemon.start()
    need_lock(daemon, Lock.OWNER_PERSIST)
    table = daemon.table()
    daemon.kill()
    daemon.systemd.drop("nft")  # a host without systemd: nobody has the socket
    assert daemon.table() == table
    daemon.start()
    assert daemon.table() == table  # with the same handles: adopted, not made anew
    assert "Operation not permitted" in daemon.host.run(["nft", "delete", "table", "inet", "edged"]).stderr


def test_the_descriptor_store_holds_the_table_over_a_restart_that_writes_nothing(daemon: Daemon) -> None:
    daemon.start()
    if daemon.client.status()["lock"] == Lock.NONE.value:
        require("netns", "needs a kernel with the owner flag (5.12)")
    table = daemon.table()
    daemon.kill()
    flushed = LinuxKernel(daemon.host.netns)
    daemon.host.run(["nft", "flush", "ruleset"], check=True)
    assert daemon.table() == table
    generation = flushed.generation()
    daemon.start(owner=daemon.systemd.kept["nft"])
    assert "took over the owning socket that systemd kept: the table is still ours" in daemon.log()
    assert daemon.client.status()["generation"] == flushed.generation() == generation
    flushed.close()
    assert daemon.table() == table
    daemon.kill()
    # what comes back is no such socket: it is said, and a new one takes its place
    with Path("/dev/null").open() as useless:
        daemon.systemd.drop("nft")
        if daemon.table():
            daemon.start(owner=useless.fileno())
            assert "cannot be used, a new one takes its place" in daemon.log()
            assert daemon.client.status()["in_sync"]
            assert "nft" in daemon.systemd.kept


def test_a_bad_reload_changes_nothing_and_says_why(daemon: Daemon) -> None:
    daemon.start()
    table, generation = daemon.table(), daemon.client.status()["generation"]
    daemon.write(OP25B, "mode: enforce", "mode: enforced")
    daemon.write("rules.d/40-spoof.yaml", "policy: spoof", "policy: spof")
    error = refused(daemon, "reload")
    assert error.exit_code is ExitCode.INVALID
    assert [str(problem).partition(": ")[0].rpartition(":")[0] for problem in error.problems] == [
        f"{OP25B}:14",
        "rules.d/40-spoof.yaml:14",
    ]
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reload failed, the policy in force stays" in daemon.log())
    status, metrics = daemon.client.status(), daemon.metrics()
    assert (status["generation"], daemon.table()) == (generation, table)
    assert not status["configuration"]["last_reload_successful"]
    assert [each["what"] for each in status["degraded"]] == ["configuration"]
    assert metrics["edged_config_last_reload_successful"] == 0
    assert metrics["edged_enforcement_in_sync"] == 1

    daemon.kill()  # at boot the same files mean last good, not "no policy"
    daemon.start(owner=daemon.systemd.kept["nft"])
    status = daemon.client.status()
    assert (status["configuration"]["running"], status["in_sync"]) == ("last good", True)
    assert daemon.table() == table
    assert "last good" in daemon.systemd.messages[-1]
    daemon.write(OP25B, "mode: enforced", "mode: observe")
    daemon.write("rules.d/40-spoof.yaml", "policy: spof", "policy: spoof")
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: observes(daemon))
    eventually(lambda: daemon.client.status()["configuration"]["running"] == "files")


@pytest.mark.promise(8)
def test_without_confirmation_a_change_is_rolled_back_though_the_command_and_the_daemon_die(daemon: Daemon) -> None:
    daemon.start()
    table = daemon.table()
    daemon.write(OP25B, "mode: enforce", "mode: observe")
    kernel = LinuxKernel(daemon.host.netns)
    command = subprocess.Popen(
        [
            "ip",
            "netns",
            "exec",
            daemon.host.netns,
            sys.executable,
            "-m",
            "edged",
            "apply",
            "-c",
            str(daemon.config),
            "--confirm",
            "2s",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # the kernel has the change a moment before the daemon tells of it
        eventually(lambda: observes(daemon) and daemon.client.status()["confirm"] is not None)
        waiting = daemon.client.status()["confirm"]
        assert waiting is not None
        seconds_left = waiting["seconds_left"]
        asked_at = time.monotonic()
        command.kill()
        applied = kernel.generation()
        assert refused(daemon, "reload").exit_code is ExitCode.REFUSED
        eventually(lambda: kernel.generation() != applied)
        assert time.monotonic() - asked_at == pytest.approx(seconds_left, abs=0.5)
        assert not observes(daemon)
    finally:
        kernel.close()
        command.kill()
        command.wait(30)
    eventually(lambda: daemon.client.status()["confirm"] is None)
    assert daemon.client.status()["configuration"]["running"] == "last good"

    assert daemon.client.apply(60)["confirm_deadline_seconds"] == 60
    assert observes(daemon)
    daemon.kill()
    assert observes(daemon) or not table
    daemon.start(owner=daemon.systemd.kept["nft"])
    assert not observes(daemon)
    assert refused(daemon, "confirm").exit_code is ExitCode.REFUSED

    daemon.client.apply(0.5)
    assert daemon.client.confirm() == {"confirmed": True}
    time.sleep(0.7)
    assert observes(daemon)
    assert daemon.client.status()["configuration"]["running"] == "files"


@pytest.mark.promise(17)
def test_teardown_removes_all_of_edged_and_nothing_else_until_a_reload(daemon: Daemon) -> None:
    daemon.host.run(["nft", "add", "table", "inet", "theirs"], check=True)
    before = daemon.host.run(["nft", "list", "ruleset"]).stdout
    daemon.start()
    assert daemon.client.teardown()["removed"] is True
    assert daemon.host.run(["nft", "list", "ruleset"]).stdout == before
    status = daemon.client.status()
    assert (status["enforcing"], status["in_sync"], status["degraded"][0]["what"]) == (False, False, "enforcement")
    assert daemon.client.teardown() == {"removed": False, "devices": []}
    assert daemon.client.reload()["changed"]
    assert daemon.client.status()["in_sync"]


def test_metrics_count_what_the_kernel_stopped_and_never_go_back(daemon: Daemon, topology: Topology) -> None:
    daemon.start()
    connect(topology, 3)

    def stopped() -> dict[str, float]:
        found = daemon.metrics()
        return {name: value for name, value in found.items() if name.startswith("edged_policy_packets_total") and value}

    names = [
        f'edged_policy_packets_total{{direction="up",family="{family}",policy="op25b",verdict="reject"}}'
        for family in ("ipv4", "ipv6")
    ]
    assert stopped() == dict.fromkeys(names, 3.0)
    assert daemon.metrics()[names[0].replace("packets", "bytes")] == 3 * 60  # a SYN with its usual options
    for mode, other in (("enforce", "off"), ("off", "enforce")):
        daemon.write(OP25B, f"mode: {mode}", f"mode: {other}")
        daemon.client.reload()
        assert stopped() == dict.fromkeys(names, 3.0)
    connect(topology, 1)
    assert stopped() == dict.fromkeys(names, 4.0)
    found = daemon.metrics()
    assert found["edged_apply_duration_seconds_count"] == 3
    assert {name.partition("{")[0] for name in found} == {
        "edged_build_info",
        "edged_config_last_reload_successful",
        "edged_config_last_reload_success_timestamp_seconds",
        "edged_enforcement_in_sync",
        "edged_drift_repairs_total",
        "edged_capped_bytes_total",
        "edged_capped_subscribers",
        "edged_flows_classified_total",
        "edged_queue_packets_total",
        "edged_subscribers",
        "edged_blocklist_entries",
        "edged_blocklist_last_load_successful",
        "edged_blocklist_last_success_timestamp_seconds",
        "edged_blocklist_refusals_total",
        "edged_apply_duration_seconds_bucket",
        "edged_apply_duration_seconds_count",
        "edged_apply_duration_seconds_sum",
        "edged_capability",
        "edged_policy_packets_total",
        "edged_policy_bytes_total",
        "edged_kernel_read_errors_total",
    }


def connect(topology: Topology, times: int) -> None:
    """Have the dynamic subscriber try port 25 outside, in both families; each try is refused by one packet."""
    for family in Family:
        for _ in range(times):
            with topology.dynamic.socket(INET[family], socket.SOCK_STREAM) as client, suppress(ConnectionRefusedError):
                client.settimeout(2)
                client.connect((str(topology.foreign_mail.address(family)), 25))


def test_links_and_peers(daemon: Daemon) -> None:
    daemon.write("edged.yaml", "control: control.sock", "control: {path: control.sock, group: daemon, readers: nogroup}")
    daemon.host.run(["ip", "link", "set", "lan0", "name", "lan1"], check=True)
    daemon.start()
    assert [each["what"] for each in daemon.client.status()["degraded"]] == ["interface lan0"]
    daemon.host.run(["ip", "link", "set", "lan1", "name", "lan0"], check=True)
    eventually(lambda: not daemon.client.status()["degraded"])
    eventually(lambda: "interface lan0 is there now" in daemon.log())

    path = daemon.folder / "control.sock"
    assert asked(path, "status", user=65533) == ("200", "gw1")
    assert asked(path, "teardown", "{}", user=65533) == ("403", ExitCode.UNREACHABLE)
    assert daemon.table()
    eventually(lambda: "control: teardown refused (uid 65533" in daemon.log())
    for body, code in (('{"confirm_seconds": 0}', "400"), ('{"confirm": 5}', "400"), ("[", "400")):
        assert asked(path, "apply", body) == (code, 2)


def asked(path: Path, action: str, body: str | None = None, user: int = 0) -> tuple[str, object]:
    """The HTTP status of a request by that user (in the group of readers), and the answer's most telling part."""
    command = ["curl", "-s", "-w", "%{http_code}", "--unix-socket", str(path), *(("-d", body) if body else ())]
    done = subprocess.run(
        [*command, f"http://edged/v1/{action}"],
        user=user,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout[:-3])
    return done.stdout[-3:], answer.get("gateway") or answer.get("exit_code")


def test_an_address_in_use_for_metrics_ends_the_start_with_the_policy_in_force(daemon: Daemon) -> None:
    with daemon.host.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", 9825))
        other.listen()
        daemon.launch()
        assert daemon.process.wait(30) == ExitCode.FAILED
    assert "cannot serve metrics on 127.0.0.1:9825: Address already in use" in daemon.log()
    assert "op25b_up" in daemon.table()


def test_bad_files_and_no_last_good_ones_end_the_start(daemon: Daemon) -> None:
    daemon.write(OP25B, "mode: enforce", "mode: enforced")
    daemon.launch()
    assert daemon.process.wait(30) == ExitCode.INVALID
    assert f"{OP25B}:14:7: mode: " in daemon.log()
    assert daemon.table() == ""


def test_an_unlocked_table_is_repaired_within_milliseconds_and_its_enemy_named(daemon: Daemon) -> None:
    """The loop of a kernel without the owner flag, against real strangers."""
    flushed = asyncio.run(repaired(daemon))
    print("repair after a stranger's flush, ms:", " ".join(f"{seconds * 1000:.1f}" for seconds in sorted(flushed)))
    assert sorted(flushed)[len(flushed) // 2] < 0.1


async def repaired(daemon: Daemon) -> list[float]:
    netns, clock, suspects = daemon.host.netns, SystemClock(), Suspects()
    kernel, reader, events = LinuxKernel(netns), LinuxKernel(netns), NftEvents(netns)
    keeper = Keeper(kernel, Lock.NONE, None, clock, Totals(reader.counters), suspects)
    loop = asyncio.get_running_loop()
    took = []
    with ThreadPoolExecutor(1) as writer:

        async def in_writer(call: Callable[[], Any]) -> Any:
            return await loop.run_in_executor(writer, call)

        await in_writer(lambda: keeper.hold(load(daemon.config, now=NOW)))
        watch = asyncio.create_task(RulesetWatch(keeper, suspects, clock, in_writer, events).run())
        await asyncio.sleep(0)
        for count in range(1, 11):
            removed = threading.Thread(target=daemon.host.run, args=(["nft", "flush", "ruleset"],))
            took.append(await loop.run_in_executor(None, gap, netns, removed))
            async with asyncio.timeout(5):
                while keeper.state.repairs[Reason.TABLE_REMOVED] < count:
                    await asyncio.sleep(0.001)
        assert keeper.state.recent[0].process.name == "nft"
        assert keeper.state.recent[0].process.pid > 0
        daemon.host.run(["nft", "flush", "chain", "inet", "edged", "op25b_up"], check=True)
        async with asyncio.timeout(5):
            while not keeper.state.repairs[Reason.RULES_CHANGED]:
                await asyncio.sleep(0.001)
        assert keeper.state.in_sync
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
    for each in (kernel, reader, events):
        each.close()
    return took


def gap(netns: str, stranger: threading.Thread) -> float:
    """How long the table was away, by the kernel's own events: from the stranger's commit to the next one."""
    events = NftEvents(netns)
    stranger.start()
    commits: list[tuple[str, float]] = []
    while len(commits) < 2:
        assert select.select([events], [], [], 5)[0], f"no repair; seen: {commits}"
        commits += [(change.process, time.monotonic()) for change in events.read()]
    stranger.join()
    events.close()
    assert commits[0][0] == "nft"
    return commits[1][1] - commits[0][1]
