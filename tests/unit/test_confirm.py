"""The guardian: what becomes of a change that waits, whoever comes first and whatever fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from edged.confirm import Guardian, RolledBack, Waits, apply_guarded, seconds_left, start_guardian
from edged.control.client import ControlClient, DaemonRefused, NoDaemon
from edged.enforce import Enforced
from edged.errors import EdgedError, ExitCode, KernelError
from edged.kernel.fake import FakeHost, FakeKernel
from edged.lists.offline import in_force
from edged.loader import Configuration, load
from edged.oneshot import compare, enforce_and_leave
from edged.ruleset.plan import Plan
from edged.state import Pending, StateFolder
from tests.unit.cli.commands import CHANGES, copy_example

NOW = 1_700_000_000.0


@dataclass
class Clock:
    """Stands still but for what `sleep` lets pass."""

    up: float = 1000.0
    boot: str = "boot-1"

    def now(self) -> float:
        return NOW

    def boottime(self) -> float:
        return self.up

    def boot_id(self) -> str:
        return self.boot


@dataclass
class Daemon:
    """A daemon that is asked to roll back; `answers` is what it does, None that none runs."""

    answers: Callable[[], None] | None = None
    asked: int = 0

    def rollback(self) -> object:
        if self.answers is None:
            raise NoDaemon("none")
        self.asked += 1
        self.answers()
        return CHANGES


@dataclass
class Scene:
    """An old policy that is last good, a new one in the kernel, and a note that the new one waits."""

    folder: Path
    host: FakeHost = field(default_factory=FakeHost)
    clock: Clock = field(default_factory=Clock)
    daemon: Daemon = field(default_factory=Daemon)
    log: list[str] = field(default_factory=list)
    meanwhile: dict[float, Callable[[], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = copy_example(self.folder / "etc")
        self.state = StateFolder(self.folder / "state", self.clock)
        self.old = self._load(path)
        rules = path.parent / "rules.d/20-op25b.yaml"
        rules.write_text(rules.read_text().replace("mode: enforce", "mode: observe"))
        self.new = self._load(path)
        self.change = Pending("boot-1", 1060.0, "digest of the new one")
        self.state.begin_confirm(self.change)
        self.apply(self.new)

    @staticmethod
    def _load(path: Path) -> Configuration:
        return load(path, now=datetime.fromtimestamp(NOW, UTC))

    def apply(self, configuration: Configuration) -> None:
        kernel = FakeKernel(self.host)
        enforce_and_leave(kernel, in_force(configuration).table(int(NOW)), self.clock.now)
        kernel.close()

    def sleep(self, seconds: float) -> None:
        self.clock.up += seconds
        for moment in [moment for moment in self.meanwhile if moment <= self.clock.up]:
            self.meanwhile.pop(moment)()

    def guardian(self, last_good: Configuration | None, kernel: FakeKernel | None = None) -> Guardian:
        daemon = cast("ControlClient", self.daemon)
        return Guardian(self.state, kernel or FakeKernel(self.host), last_good, daemon, self.clock, self.sleep, self.log.append)

    def holds(self, configuration: Configuration) -> bool:
        return not compare(FakeKernel(self.host), in_force(configuration).table(int(NOW))).plan


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_at_the_deadline_the_last_good_policy_comes_back(scene: Scene) -> None:
    assert scene.holds(scene.new)
    assert scene.guardian(scene.old).watch(scene.change)
    assert scene.holds(scene.old)
    assert 1060.0 <= scene.clock.up < 1060.5
    assert (scene.state.pending(), scene.state.rejected()) == (None, "digest of the new one")
    assert scene.log == ["the change was not confirmed in time: rolled back"]


def test_without_a_last_good_policy_nothing_of_edged_is_left(scene: Scene) -> None:
    assert scene.guardian(None).watch(scene.change)
    assert scene.host.table is None


def test_a_confirmed_change_stays(scene: Scene) -> None:
    scene.meanwhile[1030.0] = scene.state.end_confirm
    assert not scene.guardian(scene.old).watch(scene.change)
    assert scene.clock.up < 1031
    assert scene.holds(scene.new)


def test_another_note_is_another_guardians(scene: Scene) -> None:
    scene.meanwhile[1030.0] = lambda: scene.state.begin_confirm(Pending("boot-1", 2000.0, "other"))
    assert not scene.guardian(scene.old).watch(scene.change)
    assert scene.holds(scene.new)
    assert scene.state.pending() is not None


def test_a_confirmation_at_the_very_last_moment_wins_over_the_rollback(scene: Scene) -> None:
    class Late(StateFolder):
        def reject(self) -> bool:
            self.end_confirm()  # `edged confirm` comes between the look and the claim
            return super().reject()

    guardian = scene.guardian(scene.old)
    guardian.state = Late(scene.folder / "state", scene.clock)
    assert not guardian.watch(scene.change)
    assert scene.holds(scene.new)
    assert scene.state.rejected() is None


def test_who_is_told_to_end_rolls_back_at_once(scene: Scene) -> None:
    guardian = scene.guardian(scene.old)
    scene.meanwhile[1010.0] = lambda: setattr(guardian, "told", True)
    assert guardian.watch(scene.change)
    assert scene.clock.up < 1011
    assert scene.holds(scene.old)


def test_a_kernel_that_fails_is_tried_again(scene: Scene) -> None:
    class Busy(FakeKernel):
        failures = 3

        def apply(self, plan: Plan, *, now: float) -> int:
            if self.failures:
                self.failures -= 1
                raise KernelError("busy")
            return super().apply(plan, now=now)

    assert scene.guardian(scene.old, Busy(scene.host)).watch(scene.change)
    assert scene.holds(scene.old)
    assert len(scene.log) == 4
    assert scene.clock.up == pytest.approx(1063.0, abs=0.5)


def test_a_kernel_that_fails_for_good_is_told_and_given_up(scene: Scene) -> None:
    class Broken(FakeKernel):
        def apply(self, plan: Plan, *, now: float) -> int:
            raise KernelError("broken")

    assert not scene.guardian(scene.old, Broken(scene.host)).watch(scene.change)
    assert "could NOT be rolled back" in scene.log[-1]


def test_a_daemon_that_was_started_meanwhile_rolls_back(scene: Scene) -> None:
    scene.daemon.answers = lambda: None
    assert scene.guardian(scene.old).watch(scene.change)
    assert scene.daemon.asked == 1
    assert scene.holds(scene.new), "the daemon owns the table; the guardian keeps its hands off"


def test_a_daemon_that_has_rolled_back_already_ends_the_watch(scene: Scene) -> None:
    def refuse() -> None:
        scene.state.reject()
        raise DaemonRefused("nothing waits", ExitCode.REFUSED)

    scene.daemon.answers = refuse
    assert not scene.guardian(scene.old).watch(scene.change)
    assert scene.daemon.asked == 1


def test_a_note_that_cannot_be_read_is_no_confirmation(scene: Scene) -> None:
    class Unreadable(StateFolder):
        def pending(self) -> Pending | None:
            raise EdgedError("I/O error")

        def reject(self) -> bool:
            raise EdgedError("I/O error")

    guardian = scene.guardian(scene.old)
    guardian.state = Unreadable(scene.folder / "state", scene.clock)
    assert guardian.watch(scene.change)
    assert scene.holds(scene.old)


def test_the_time_left_is_of_this_boot(scene: Scene) -> None:
    assert seconds_left(scene.change, scene.clock) == 60.0
    scene.clock.up = 1070.0
    assert seconds_left(scene.change, scene.clock) == -10.0
    scene.clock.boot = "boot-2"
    assert seconds_left(scene.change, scene.clock) == float("-inf")


def test_the_deadline_moves_when_the_guardian_stands_there(scene: Scene) -> None:
    later = Pending("boot-1", 1090.0, scene.change.digest)
    scene.meanwhile[1050.0] = lambda: scene.state.begin_confirm(later)
    assert scene.guardian(scene.old).watch(scene.change)
    assert 1090.0 <= scene.clock.up < 1090.5


# --- the side of apply ---

NOTHING_DONE = Enforced(Plan((), 1), 1)


def waits(scene: Scene, taken_back: list[str]) -> Waits:
    return Waits(5.0, scene.change.digest, lambda: taken_back.append("taken back"))


def test_the_time_runs_from_when_the_guardian_stands_there(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Path) -> None:
        note = scene.state.pending()
        assert note is not None
        assert seconds_left(note, scene.clock) > 30
        scene.clock.up += 20

    monkeypatch.setattr("edged.confirm.start_guardian", start)
    apply_guarded(scene.state, Path("/nowhere.sock"), waits(scene, []), scene.clock, lambda: NOTHING_DONE)
    note = scene.state.pending()
    assert note is not None
    assert seconds_left(note, scene.clock) == 5.0


def test_a_change_that_fails_leaves_no_note(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.confirm.start_guardian", lambda *_: None)

    def refuse() -> Enforced:
        assert scene.state.pending() is not None
        raise KernelError("no")

    with pytest.raises(KernelError):
        apply_guarded(scene.state, Path("/nowhere.sock"), waits(scene, []), scene.clock, refuse)
    assert scene.state.pending() is None


def test_ctrl_c_in_the_middle_leaves_the_rollback_to_the_guardian(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.confirm.start_guardian", lambda *_: None)

    def interrupted() -> Enforced:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_guarded(scene.state, Path("/nowhere.sock"), waits(scene, []), scene.clock, interrupted)
    assert scene.state.pending() is not None


def test_a_change_that_comes_after_its_own_rollback_is_taken_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.confirm.start_guardian", lambda *_: None)

    def slow() -> Enforced:
        scene.state.reject()  # the guardian's deadline passed meanwhile
        return NOTHING_DONE

    taken_back: list[str] = []
    with pytest.raises(RolledBack):
        apply_guarded(scene.state, Path("/nowhere.sock"), waits(scene, taken_back), scene.clock, slow)
    assert taken_back == ["taken back"]


def test_a_guardian_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        EdgedError, match="no guardian for the rollback could be started, so nothing was applied: no change is noted"
    ):
        start_guardian(tmp_path, tmp_path / "control.sock")
