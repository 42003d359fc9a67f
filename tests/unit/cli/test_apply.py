"""apply, confirm and teardown: by the daemon where one runs, by themselves where none does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.clock import SystemClock
from edged.control.client import DaemonRefused
from edged.control.messages import Status
from edged.enforce import enforce
from edged.errors import EdgedError, ExitCode, KernelError
from edged.kernel.bypasses import Bypass
from edged.kernel.fake import FakeHost, FakeKernel
from edged.kernel.tcfake import FakeDevice, FakeTrafficControl
from edged.loader import Configuration, load
from edged.queueing.plan import AddClass, AddRoot
from edged.queueing.tree import LINE, ROOT, Rate
from edged.ruleset.plan import Desired, Lock
from edged.state import Pending, StateFolder
from tests.unit.cli.commands import Edged, FakeDaemon


@pytest.fixture
def guardians(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path]]:
    """The guardians that were started: none is, only asked for."""
    started: list[tuple[Path, Path]] = []
    monkeypatch.setattr("edged.confirm.start_guardian", lambda state, control: started.append((state, control)))
    return started


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens while `apply --confirm` waits: one of these at each look."""
    events: list[Callable[[], object]] = []

    def sleep(_seconds: float) -> None:
        assert events, "apply went on waiting"
        events.pop(0)()

    monkeypatch.setattr("edged.cli.apply.time.sleep", sleep)
    return events


def last_good(edged: Edged) -> Configuration | None:
    return StateFolder(edged.state).load_last_good()


# --- without a daemon ---


def test_apply_enforces_and_keeps_the_files_as_last_good(edged: Edged, host: FakeHost) -> None:
    result = edged("apply")
    assert result.exit_code == 0, result.output
    assert "applied: " in result.stdout
    assert host.table is not None
    assert "op25b_up" in host.table.chains
    kept = last_good(edged)
    assert kept is not None
    assert kept.path == edged.path


def test_a_second_apply_writes_nothing(edged: Edged, host: FakeHost) -> None:
    edged("apply")
    generation = host.generation
    result = edged("apply")
    assert result.stdout == "nothing to do: the kernel was as the files ask\n"
    assert host.generation == generation


@pytest.mark.parametrize(
    ("missing", "lock"),
    [
        (frozenset[str](), Lock.OWNER_PERSIST),
        (frozenset({"table_persist"}), Lock.NONE),
        (frozenset({"table_owner", "table_persist"}), Lock.NONE),
    ],
)
def test_the_table_stays_when_apply_has_left(edged: Edged, host: FakeHost, missing: frozenset[str], lock: Lock) -> None:
    host.missing_features = missing
    edged("apply")
    assert host.table is not None
    assert (host.table.lock, host.table.owner) == (lock, None)


def test_dry_run_lists_the_steps_and_changes_nothing(edged: Edged, host: FakeHost) -> None:
    result = edged("apply", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.startswith("create table inet edged")
    assert result.stdout.endswith("dry run: the kernel takes it; nothing was applied\n")
    assert host.table is None
    assert not edged.state.exists()


def test_wrong_files_change_nothing(edged: Edged, host: FakeHost) -> None:
    edged("apply")
    before = host.generation
    edged.rewrite("rules.d/20-op25b.yaml", "action: reject", "action: rejct")
    result = edged("apply")
    assert result.exit_code == ExitCode.INVALID
    assert result.stdout == ""
    assert host.generation == before


def test_a_table_that_another_process_owns_is_left_alone(edged: Edged, host: FakeHost) -> None:
    stranger = FakeKernel(host)
    enforce(stranger, Desired(load(edged.path, now=datetime.now(UTC)).table(0), Lock.OWNER), lambda: 0.0)
    edged.rewrite("rules.d/20-op25b.yaml", "mode: enforce", "mode: observe")
    before = host.generation
    result = edged("apply")
    assert result.exit_code == ExitCode.REFUSED
    assert "edged reload" in result.stderr
    assert host.generation == before


def test_a_kernel_that_refuses_is_exit_1_and_nothing_is_kept(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(FakeKernel):
        def check(self, plan: object, *, now: float) -> None:
            raise KernelError("the kernel refused: add set x: no")

    monkeypatch.setattr("edged.cli.kernel.make_kernel", Refusing)
    result = edged("apply")
    assert result.exit_code == ExitCode.FAILED
    assert result.stderr == "edged: the kernel refused: add set x: no\n"
    assert last_good(edged) is None


def test_less_than_the_files_ask_for_is_exit_8_and_says_what(
    edged: Edged, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.cli.machine.present_interfaces", lambda: frozenset({"lan0"}))
    flowtable = Bypass("flowtable inet fw ft (lan0, wan0)", "flows in it pass every rule", "remove it")
    monkeypatch.setattr("edged.cli.machine.bypasses", lambda _site: (flowtable,))
    content = edged.json("apply", exit_code=8)
    assert [line.split(":")[0] for line in content["lacks"]] == ["interface wan0", "flowtable inet fw ft (lan0, wan0)"]
    assert host.table is not None


def test_a_state_folder_that_cannot_be_written_does_not_keep_the_policy_out(
    edged: Edged, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: StateFolder, configuration: Configuration) -> None:
        raise EdgedError("state/last-good.json: cannot keep it: No space left on device")

    monkeypatch.setattr(StateFolder, "save_last_good", full)
    result = edged("apply")
    assert result.exit_code == ExitCode.DEGRADED
    assert "a later rollback cannot come back to it: state/last-good.json" in result.stderr
    assert host.table is not None


def test_what_cannot_be_confirmed_later_is_not_applied(edged: Edged, host: FakeHost, guardians: list[object]) -> None:
    edged.state.write_text("a file in its place")
    result = edged("apply", "--confirm", "60s")
    assert result.exit_code == ExitCode.FAILED
    assert str(edged.state) in result.stderr
    assert (host.table, guardians) == (None, [])


# --- with a confirmation, without a daemon ---


def test_confirm_leaves_a_note_and_a_guardian_before_it_changes_the_kernel(
    edged: Edged, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def start(state: Path, control: Path) -> None:
        seen.append((host.table, StateFolder(state).pending(), control))

    monkeypatch.setattr("edged.confirm.start_guardian", start)
    result = edged("apply", "--confirm", "60s", "--no-wait")
    assert result.exit_code == 0, result.output
    assert "rolled back in 60 s unless you run: edged confirm" in result.stdout
    ((table, pending, control),) = seen
    assert table is None
    assert pending is not None
    now = StateFolder(edged.state).pending()
    assert now is not None
    assert 55 < now.deadline - SystemClock().boottime() <= 60
    assert control == edged.path.parent / "control.sock"
    assert host.table is not None
    assert last_good(edged) is None


def test_without_a_guardian_nothing_is_applied(edged: Edged, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_state: Path, _control: Path) -> None:
        raise KernelError("no guardian")

    monkeypatch.setattr("edged.confirm.start_guardian", fail)
    assert edged("apply", "--confirm", "60s").exit_code == ExitCode.FAILED
    assert host.table is None
    assert StateFolder(edged.state).pending() is None


def test_apply_waits_and_ends_with_0_when_it_is_confirmed(
    edged: Edged, guardians: list[object], meanwhile: list[Callable[[], object]]
) -> None:
    meanwhile += [lambda: None, lambda: edged("confirm")]
    content = edged.json("apply", "--confirm", "1m")
    assert content["confirm"] == {"seconds": 60.0, "outcome": "confirmed"}
    kept = last_good(edged)
    assert kept is not None
    assert len(guardians) == 1


def test_apply_waits_and_ends_with_7_when_it_is_rolled_back(
    edged: Edged, guardians: list[object], meanwhile: list[Callable[[], object]]
) -> None:
    meanwhile.append(lambda: StateFolder(edged.state).reject())
    content = edged.json("apply", "--confirm", "1m", exit_code=7)
    assert content["confirm"]["outcome"] == "rolled back"


def test_leaving_the_wait_leaves_the_rollback_where_it_is(
    edged: Edged, guardians: list[object], meanwhile: list[Callable[[], object]]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    meanwhile.append(interrupt)
    result = edged("apply", "--confirm", "1m")
    assert result.exit_code == 130
    assert "still rolls back by itself" in result.stderr
    assert StateFolder(edged.state).pending() is not None


def test_one_change_waits_at_a_time(edged: Edged, guardians: list[object], host: FakeHost) -> None:
    edged("apply", "--confirm", "60s", "--no-wait")
    before = host.generation
    edged.rewrite("rules.d/20-op25b.yaml", "mode: enforce", "mode: observe")
    for arguments in (["apply"], ["apply", "--confirm", "5s"]):
        result = edged(*arguments)
        assert result.exit_code == ExitCode.REFUSED
        assert "edged confirm" in result.stderr
    assert host.generation == before


@pytest.mark.parametrize("note", [Pending("another boot", 1e12, "x"), Pending(SystemClock().boot_id(), -100.0, "x")])
def test_a_note_that_nobody_watches_any_more_does_not_stop_an_apply(edged: Edged, note: Pending) -> None:
    StateFolder(edged.state).begin_confirm(note)
    assert edged("apply").exit_code == 0


@pytest.mark.parametrize("time", ["60", "0s", "1 m", "-5s", "soon", "1w"])
def test_what_is_no_length_of_time_is_a_usage_error(edged: Edged, time: str) -> None:
    result = edged("apply", "--confirm", time)
    assert result.exit_code == 2
    assert "is not a length of time such as" in result.stderr


def test_no_wait_without_confirm_is_a_usage_error(edged: Edged) -> None:
    assert edged("apply", "--no-wait").exit_code == 2


# --- confirm ---


def test_confirm_keeps_the_change_and_its_files(edged: Edged, guardians: list[object]) -> None:
    edged("apply", "--confirm", "60s", "--no-wait")
    assert edged.json("confirm") == {"schema": "edged/v1/confirm", "confirmed": True, "warnings": []}
    assert last_good(edged) is not None
    assert StateFolder(edged.state).pending() is None


def test_confirm_without_anything_to_confirm_is_exit_1(edged: Edged) -> None:
    result = edged("confirm")
    assert result.exit_code == ExitCode.FAILED
    assert "nothing waits for a confirmation" in result.stderr


def test_confirm_that_comes_too_late_is_exit_7(edged: Edged, guardians: list[object]) -> None:
    edged("apply", "--confirm", "60s", "--no-wait")
    StateFolder(edged.state).reject()
    result = edged("confirm")
    assert result.exit_code == ExitCode.ROLLED_BACK
    assert "too late" in result.stderr


def test_files_that_were_changed_since_are_not_kept_as_good(edged: Edged, guardians: list[object]) -> None:
    edged("apply", "--confirm", "60s", "--no-wait")
    edged.rewrite("rules.d/20-op25b.yaml", "mode: enforce", "mode: observe")
    content = edged.json("confirm", exit_code=8)
    assert content["confirmed"] is True
    assert "changed since" in content["warnings"][0]
    assert last_good(edged) is None


def test_a_change_from_before_the_last_boot_is_gone(edged: Edged) -> None:
    StateFolder(edged.state).begin_confirm(Pending("another boot", 1e12, "x"))
    result = edged("confirm")
    assert result.exit_code == ExitCode.FAILED
    assert "booted" in result.stderr
    assert StateFolder(edged.state).pending() is None


# --- teardown ---


def test_teardown_removes_the_table_once(edged: Edged, host: FakeHost) -> None:
    edged("apply")
    assert edged.json("teardown", "--dry-run") == {
        "schema": "edged/v1/teardown",
        "removed": False,
        "present": True,
        "devices": [],
        "dry_run": True,
    }
    assert host.table is not None
    assert edged.json("teardown")["removed"] is True
    assert host.table is None
    result = edged("teardown")
    assert result.exit_code == 0
    assert result.stdout == "nothing of edged is in the kernel; nothing to remove\n"
    assert edged("teardown", "--dry-run").stdout == result.stdout


def test_teardown_takes_the_note_of_a_waiting_change_away(edged: Edged, guardians: list[object]) -> None:
    edged("apply", "--confirm", "60s", "--no-wait")
    edged("teardown")
    assert StateFolder(edged.state).pending() is None


# --- with a daemon ---


def serve(daemon: FakeDaemon, edged: Edged) -> Status:
    daemon.runs = True
    daemon.status_now["configuration"]["path"] = str(edged.path)
    return daemon.status_now


def test_apply_asks_the_daemon_and_leaves_the_kernel_to_it(edged: Edged, daemon: FakeDaemon, host: FakeHost) -> None:
    serve(daemon, edged)
    content = edged.json("apply")
    assert daemon.asked == [("apply", None)]
    assert (content["by"], content["changed"], content["warnings"]) == ("daemon", 2, ["w1"])
    assert host.generation == 1


def test_apply_refuses_where_the_daemon_serves_other_files(edged: Edged, daemon: FakeDaemon) -> None:
    daemon.runs = True
    result = edged("apply")
    assert result.exit_code == ExitCode.REFUSED
    assert "serves /etc/edged/edged.yaml" in result.stderr
    assert daemon.asked == []


def test_a_daemon_that_lacks_something_is_exit_8(edged: Edged, daemon: FakeDaemon) -> None:
    serve(daemon, edged)["degraded"] = [{"what": "interface wan0", "why": "it is not there", "instead": "its rules wait"}]
    assert edged.json("apply", exit_code=8)["lacks"] == ["interface wan0: it is not there; its rules wait"]


def test_the_daemons_confirmation_is_waited_for(edged: Edged, daemon: FakeDaemon, meanwhile: list[Callable[[], object]]) -> None:
    status = serve(daemon, edged)
    status["confirm"] = {"seconds_left": 30.0}

    def confirmed() -> None:
        status["confirm"] = None

    meanwhile.append(confirmed)
    assert edged.json("apply", "--confirm", "500ms")["confirm"]["outcome"] == "confirmed"
    assert daemon.asked == [("apply", 0.5)]


@pytest.mark.parametrize("first", [True, False], ids=["no policy before", "back to the last good one"])
def test_the_daemons_rollback_is_exit_7(
    edged: Edged, daemon: FakeDaemon, meanwhile: list[Callable[[], object]], *, first: bool
) -> None:
    status = serve(daemon, edged)
    status["confirm"] = {"seconds_left": 30.0}

    def rolled_back() -> None:
        status["confirm"] = None
        if first:
            status["enforcing"] = False
        else:
            status["configuration"]["running"] = "last good"

    meanwhile.append(rolled_back)
    assert edged.json("apply", "--confirm", "1m", exit_code=7)["confirm"]["outcome"] == "rolled back"


def test_confirm_asks_the_daemon(edged: Edged, daemon: FakeDaemon) -> None:
    serve(daemon, edged)
    assert edged("confirm").stdout == "confirmed: the change stays\n"
    assert daemon.asked == [("confirm",)]


@pytest.mark.parametrize(("running", "code"), [("files", ExitCode.FAILED), ("last good", ExitCode.ROLLED_BACK)])
def test_confirm_tells_nothing_waits_from_too_late(edged: Edged, daemon: FakeDaemon, running: str, code: ExitCode) -> None:
    serve(daemon, edged)["configuration"]["running"] = running
    daemon.fails = DaemonRefused("nothing waits", ExitCode.REFUSED)
    assert edged("confirm").exit_code == code


def test_confirm_passes_on_what_else_the_daemon_refuses(edged: Edged, daemon: FakeDaemon) -> None:
    serve(daemon, edged)["confirm"] = {"seconds_left": 3.0}
    daemon.fails = DaemonRefused("confirm is for root", ExitCode.REFUSED)
    result = edged("confirm")
    assert (result.exit_code, result.stderr) == (ExitCode.REFUSED, "edged: confirm is for root\n")


@pytest.mark.parametrize(
    ("table", "devices", "word"),
    [
        (True, (), "removed table inet edged; no policy of edged is in force\n"),
        (True, ("lan0", "wan0"), "removed table inet edged and the queueing of lan0, wan0; no policy of edged is in force\n"),
        (False, ("lan0",), "removed the queueing of lan0; no policy of edged is in force\n"),
        (False, (), "nothing of edged is in the kernel; nothing to remove\n"),
    ],
)
def test_teardown_asks_the_daemon(edged: Edged, daemon: FakeDaemon, table: bool, devices: tuple[str, ...], word: str) -> None:
    serve(daemon, edged)
    daemon.removed, daemon.devices = table, devices
    assert edged("teardown").stdout == word
    content = edged.json("teardown")
    assert (content["removed"], content["devices"]) == (table or bool(devices), list(devices))
    assert daemon.asked == [("teardown",)] * 2


def test_teardown_without_a_daemon_removes_edgeds_trees_and_no_others(edged: Edged, traffic: FakeTrafficControl) -> None:
    traffic.devices["wan0"].foreign = "hfsc"
    traffic.apply([AddRoot("lan0"), AddClass("lan0", LINE, ROOT, Rate(8_000_000))])
    before = traffic.observe()
    assert edged("teardown", "--dry-run").stdout == "would remove the queueing of lan0\n"
    assert traffic.observe() == before
    assert edged.json("teardown")["devices"] == ["lan0"]
    assert traffic.devices == {"lan0": FakeDevice(), "wan0": FakeDevice(foreign="hfsc")}
    assert edged.json("teardown")["removed"] is False
