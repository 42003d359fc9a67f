"""The real command `edged` in a namespace: what it puts into the kernel, what it takes out again, and what it never touches."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from edged.clock import SystemClock
from edged.lists.offline import in_force
from edged.loader import load
from edged.ruleset.render import render
from edged.state import Pending, StateFolder
from tests.netns.queue import as_known_here
from tests.unit.cli.commands import copy_example

NUMBER = count()

FOREIGN = """\
table inet filter {
	set bad { type ipv4_addr; flags interval; elements = { 198.18.0.0/15 } }
	counter seen { packets 5 bytes 300 }
	chain forward { type filter hook forward priority -5; policy accept; ip saddr @bad counter name "seen" drop; }
}
table ip nat {
	chain post { type nat hook postrouting priority 100; policy accept; oifname "wan0" ip saddr 100.64.0.0/10 masquerade; }
}
"""


@dataclass(frozen=True)
class Gateway:
    """A namespace with lan0 and wan0, and a copy of the shipped example whose state lies beside it."""

    netns: str
    path: Path

    def run(self, *command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.inside(*command), input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def inside(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.netns, *command]

    def edged(self, *arguments: str, exit_code: int = 0) -> str:
        done = self.run(*self.command(*arguments))
        assert done.returncode == exit_code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        return json.loads(self.edged(*arguments, "--json", exit_code=exit_code))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "edged", *arguments, "-c", str(self.path)]

    def ruleset(self) -> str:
        """All tables, without the time that exemptions still have."""
        return re.sub(r" expires \S+", "", self.run("nft", "list", "ruleset").stdout)

    def mode(self) -> str:
        """How op25b stands in the kernel, read by nft and not by edged: enforce, observe, or nothing."""
        listed = self.run("nft", "list", "table", "inet", "edged").stdout
        if not listed:
            return "nothing"
        return "observe" if "op25b_up_ip_observe" in listed else "enforce"

    def observe(self) -> None:
        """Change the files: op25b only observes."""
        file = self.path.parent / "rules.d/20-op25b.yaml"
        file.write_text(file.read_text().replace("\nmode: enforce", "\nmode: observe"))

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.path.parent / "state")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    netns = f"edcmd{os.getpid()}-{next(NUMBER)}"
    subprocess.run(["ip", "netns", "add", netns], check=True)
    try:
        for name in ("lan0", "wan0"):
            subprocess.run(["ip", "-n", netns, "link", "add", name, "type", "veth", "peer", "name", f"{name}peer"], check=True)
        yield Gateway(netns, copy_example(tmp_path / "etc"))
    finally:
        subprocess.run(["ip", "netns", "del", netns], check=True)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_plan_apply_plan_teardown(gateway: Gateway) -> None:
    gateway.edged("plan", "--exit-code", exit_code=5)
    assert gateway.ruleset() == ""
    assert gateway.json("apply")["changed"] > 10
    assert gateway.mode() == "enforce"
    assert gateway.edged("plan", "--exit-code").startswith("nothing to do: ")
    generation = gateway.json("plan")["generation"]
    gateway.edged("apply")
    assert gateway.json("plan")["generation"] == generation, "an apply with nothing to do wrote to the kernel"
    gateway.edged("teardown")
    assert gateway.ruleset() == ""
    gateway.edged("teardown")


def test_what_was_not_ours_is_the_same_byte_for_byte_after_teardown(gateway: Gateway) -> None:
    assert gateway.run("nft", "-f", "-", stdin=FOREIGN).returncode == 0
    before, queues = gateway.ruleset(), gateway.run("tc", "qdisc", "show").stdout
    gateway.edged("apply")
    gateway.observe()
    gateway.edged("apply")
    during = gateway.ruleset()
    assert "table inet edged" in during
    assert during.startswith(before) or before in during
    gateway.edged("teardown")
    assert gateway.ruleset() == before
    assert gateway.run("tc", "qdisc", "show").stdout == queues


def test_an_update_does_not_remake_the_table(gateway: Gateway) -> None:
    gateway.edged("apply")
    gateway.observe()
    steps = gateway.json("plan")["steps"]
    assert steps
    assert not any(step.startswith(("create", "remove table")) for step in steps)
    gateway.edged("apply")
    assert gateway.mode() == "observe"


def test_what_root_leaves_in_the_state_folder_is_the_daemons(gateway: Gateway) -> None:
    folder = gateway.path.parent / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    gateway.edged("apply", "--confirm", "1h", "--no-wait")
    note = (folder / "confirm.json").stat()
    assert (note.st_uid, note.st_gid, note.st_mode & 0o777) == (65534, 65534, 0o600)
    gateway.edged("confirm")
    assert (folder / "last-good.json").stat().st_uid == 65534


def test_render_is_what_the_kernel_is_asked_for(gateway: Gateway) -> None:
    text = gateway.edged("render")
    assert gateway.run("nft", "-c", "-f", "-", stdin=as_known_here(text)).returncode == 0
    now = int(time.time())
    expected = render(in_force(load(gateway.path, now=datetime.now(UTC))).table(now), now).splitlines()
    changed = [line for line in text.splitlines() if line not in expected and not line.startswith("#") and "timeout" not in line]
    assert changed == []


def test_wrong_files_leave_the_kernel_as_it_is(gateway: Gateway) -> None:
    gateway.edged("apply")
    before = gateway.ruleset()
    file = gateway.path.parent / "rules.d/20-op25b.yaml"
    file.write_text(file.read_text().replace("\nmode: enforce", "\nmode: enforced"))
    for command in (["apply"], ["plan"], ["check"], ["apply", "--confirm", "5s"]):
        gateway.edged(*command, exit_code=3)
    assert gateway.ruleset() == before


def test_doctor_finds_this_kernel_able(gateway: Gateway) -> None:
    found = {each["name"]: each["grade"] for each in gateway.json("doctor")["findings"]}
    assert found["interface lan0"] == "ok"
    assert found["inet_filter"] == "ok"
    assert gateway.ruleset() == ""


# --- confirm, without a daemon ---


@pytest.fixture
def changed(gateway: Gateway) -> Gateway:
    """A gateway that enforces, and whose files were changed since so that op25b would only observe."""
    gateway.edged("apply")
    gateway.observe()
    return gateway


@pytest.mark.promise(8)
def test_confirmed_in_time_the_change_stays(changed: Gateway) -> None:
    command = changed.inside(*changed.command("apply", "--confirm", "6s", "--json"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        assert within(30, lambda: changed.mode() == "observe")
        note = changed.state.pending()
        assert note is not None
        changed.edged("confirm")
        out, _ = waiting.communicate(timeout=20)
    assert waiting.returncode == 0
    assert json.loads(out)["confirm"]["outcome"] == "confirmed"
    time.sleep(max(0.0, note.deadline - SystemClock().boottime()) + 1)
    assert changed.mode() == "observe", "the guardian rolled a confirmed change back"
    assert changed.edged("plan", "--exit-code").startswith("nothing to do: ")


def test_not_confirmed_it_is_rolled_back_and_apply_says_so(changed: Gateway) -> None:
    content = changed.json("apply", "--confirm", "2s", exit_code=7)
    assert content["confirm"]["outcome"] == "rolled back"
    assert within(2, lambda: changed.mode() == "enforce")
    changed.edged("confirm", exit_code=7)


def test_the_first_policy_not_confirmed_leaves_nothing(gateway: Gateway) -> None:
    gateway.edged("apply", "--confirm", "2s", "--no-wait")
    assert within(20, lambda: gateway.state.pending() is None)
    assert within(1, lambda: gateway.mode() == "nothing")
    assert gateway.state.rejected() is not None


@pytest.mark.promise(8)
def test_while_a_change_waits_another_is_refused(changed: Gateway) -> None:
    changed.edged("apply", "--confirm", "60s", "--no-wait")
    changed.edged("apply", exit_code=6)
    changed.edged("confirm")
    changed.edged("confirm", exit_code=1)
    changed.edged("apply")


def test_teardown_ends_the_waiting_too(changed: Gateway) -> None:
    changed.edged("apply", "--confirm", "2s", "--no-wait")
    changed.edged("teardown")
    time.sleep(3)
    assert changed.mode() == "nothing", "the guardian brought a policy back that was torn down"


def in_a_terminal(gateway: Gateway, time: str) -> tuple[int, int]:
    """`edged apply --confirm` as the only process of a terminal: its pid and the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        command = gateway.inside(*gateway.command("apply", "--confirm", time))
        os.execvp(command[0], command)
    return pid, terminal


def rolled_back_within_a_second_of_its_deadline(gateway: Gateway, note: Pending) -> bool:
    early = gateway.mode() == "enforce" and SystemClock().boottime() < note.deadline
    left = note.deadline - SystemClock().boottime()
    return not early and within(left + 1, lambda: gateway.mode() == "enforce")


@pytest.mark.parametrize("death", ["terminal closed", "kill -9"])
def test_it_is_rolled_back_when_the_terminal_dies(changed: Gateway, death: str) -> None:
    pid, terminal = in_a_terminal(changed, "4s")
    try:
        assert within(30, lambda: changed.mode() == "observe")
        note = changed.state.pending()
        assert note is not None
        if death == "kill -9":
            os.kill(pid, signal.SIGKILL)
        else:
            os.close(terminal)  # the kernel sends SIGHUP to the session, as at the end of a broken ssh
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) != 0
        assert rolled_back_within_a_second_of_its_deadline(changed, note)
        assert changed.state.pending() is None
    finally:
        if death == "kill -9":
            os.close(terminal)


def guardian_of(state: Path) -> int:
    """The process that watches the change which is noted there."""
    listed = subprocess.run(["pgrep", "-f", f"edged.confirm {state} "], capture_output=True, text=True, check=True)
    return int(listed.stdout)


def test_it_is_rolled_back_late_when_the_guardian_was_killed_and_somebody_still_waits(changed: Gateway) -> None:
    command = changed.inside(*changed.command("apply", "--confirm", "4s"))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as waiting:
        assert within(30, lambda: changed.mode() == "observe")
        os.kill(guardian_of(changed.state.path), signal.SIGKILL)
        assert waiting.wait(60) == 7
    assert changed.mode() == "enforce"
    assert changed.state.pending() is None


def test_the_countdown_on_a_terminal_tells_how_to_confirm(changed: Gateway) -> None:
    pid, terminal = in_a_terminal(changed, "3s")
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:  # the last process of the terminal has ended
        pass
    finally:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.WEXITSTATUS(status) == 7
    text = shown.decode()
    assert f"edged confirm -c {changed.path}" in text
    assert "s left" in text
    assert "rolled back: what was in force before is in force again" in text


# --- beside a daemon ---


@pytest.fixture
def daemon(gateway: Gateway) -> Iterator[subprocess.Popen[bytes]]:
    log = (gateway.path.parent / "log").open("wb")
    with log, subprocess.Popen(gateway.inside(*gateway.command("run")), stdout=log, stderr=log) as running:
        try:
            ready = within(20, lambda: gateway.run(*gateway.command("status")).returncode == 0)
            assert ready, (gateway.path.parent / "log").read_text()
            yield running
        finally:
            running.terminate()
            running.wait(20)


def test_the_commands_beside_a_daemon(gateway: Gateway, daemon: subprocess.Popen[bytes]) -> None:
    assert gateway.json("status")["in_sync"] is True
    assert gateway.edged("plan", "--exit-code").startswith("nothing to do: ")
    gateway.observe()
    gateway.edged("plan", "--exit-code", exit_code=5)
    assert gateway.json("reload")["changed"] > 0
    assert gateway.mode() == "observe"
    assert "op25b" in gateway.edged("status")
    content = gateway.json("apply")
    assert (content["by"], content["changed"]) == ("daemon", 0)
    gateway.edged("confirm", exit_code=1)
    gateway.edged("teardown")
    assert gateway.mode() == "nothing"
    gateway.edged("reload")
    assert gateway.mode() == "observe"


def test_the_daemons_confirmation(gateway: Gateway, daemon: subprocess.Popen[bytes]) -> None:
    gateway.observe()
    gateway.edged("apply", "--confirm", "30s", "--no-wait")
    assert gateway.mode() == "observe"
    gateway.edged("apply", exit_code=6)
    gateway.edged("confirm")
    file = gateway.path.parent / "rules.d/20-op25b.yaml"
    file.write_text(file.read_text().replace("\nmode: observe", "\nmode: enforce"))
    content = gateway.json("apply", "--confirm", "1s", exit_code=7)
    assert content["confirm"]["outcome"] == "rolled back"
    assert gateway.mode() == "observe"


def test_a_daemon_with_other_files_is_not_told_to_change_anything(
    gateway: Gateway, daemon: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    other = Gateway(gateway.netns, copy_example(tmp_path / "other"))
    done = other.run(*other.command("apply", "--socket", str(gateway.path.parent / "control.sock")))
    assert done.returncode == 6
    assert str(gateway.path) in done.stderr
    assert other.run(*other.command("apply")).returncode == 6, "the table is the daemon's"


def test_a_reload_of_wrong_files_says_what_check_says(gateway: Gateway, daemon: subprocess.Popen[bytes]) -> None:
    before = gateway.ruleset()
    file = gateway.path.parent / "rules.d/20-op25b.yaml"
    file.write_text(file.read_text().replace("\nmode: enforce", "\nmode: enforced"))
    checked, reloaded = gateway.run(*gateway.command("check")), gateway.run(*gateway.command("reload"))
    assert (checked.returncode, reloaded.returncode) == (3, 3)
    assert reloaded.stderr.splitlines()[:-1] == checked.stderr.splitlines()[:-1]
    assert gateway.ruleset() == before
