"""The keeper holds what was asked for, repairs what others did, counts that alone, and outlives a kernel that refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.daemon.drift import Process, Reason
from edged.daemon.keeper import FIRST_RETRY, LONGEST_RETRY
from edged.errors import KernelError, TableHeld
from edged.kernel.fake import FakeKernel
from edged.kernel.fakesets import FakeSet
from edged.ruleset.plan import Lock
from tests.unit.daemon.daemons import NOW, OP25B, Rig, exempt, write_files


@pytest.fixture
def unlocked(tmp_path: Path) -> Rig:
    """A kernel without the owner flag, where strangers can do anything."""
    write_files(tmp_path)
    return Rig(tmp_path, Lock.NONE)


def refuse(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise KernelError("out of memory", errno=12)

    monkeypatch.setattr(rig.kernel, "apply", refused)


def test_hold_enforces_and_a_second_time_writes_nothing(rig: Rig) -> None:
    first = rig.keeper.hold(rig.load())
    again = rig.keeper.hold(rig.load())
    assert first.plan
    assert not again.plan
    assert again.generation == first.generation == rig.host.generation
    assert (rig.keeper.state.enforcing, rig.keeper.state.in_sync) == (True, True)


def test_an_adopted_table_is_kept_as_it_is(rig: Rig) -> None:
    rig.keeper.hold(rig.load())
    rig.host.count("op25b_up_ip_reject", 7)
    rig.kernel.close()
    rig.restart()
    adopted = rig.keeper.hold(rig.load())
    assert len(adopted.plan.steps) == 1
    assert {value.packets for counter, value in rig.totals.read().items() if counter.name == "op25b_up_ip_reject"} == {7}
    assert rig.keeper.state.repairs[Reason.TABLE_REPLACED] == 0


def test_a_flushed_ruleset_is_restored_and_its_author_named(unlocked: Rig) -> None:
    unlocked.keeper.hold(unlocked.load())
    unlocked.host.flush_ruleset()
    unlocked.suspects.note(unlocked.host.generation, Process("nft", 4711))
    unlocked.keeper.look()
    state = unlocked.keeper.state
    assert "op25b_up" in unlocked.tables
    assert state.repairs == {**dict.fromkeys(Reason, 0), Reason.TABLE_REMOVED: 1}
    assert [(each.reason, each.process) for each in state.recent] == [("table_removed", Process("nft", 4711))]
    unlocked.keeper.look()
    assert unlocked.keeper.state.repairs == state.repairs


def test_a_rule_edited_in_place_is_written_anew(unlocked: Rig) -> None:
    unlocked.keeper.hold(unlocked.load())
    unlocked.host.tamper("op25b_up", 0)
    unlocked.keeper.look()
    assert unlocked.keeper.state.repairs[Reason.RULES_CHANGED] == 1
    [repair] = unlocked.keeper.state.recent
    assert repair.process.name == "unknown"
    assert repair.what == ("chain op25b_up: write 1 rule",)
    assert None not in unlocked.table.chains["op25b_up"].rules


def test_commits_to_other_tables_are_no_drift(rig: Rig) -> None:
    rig.keeper.hold(rig.load())
    rig.host.commit_elsewhere()
    rig.keeper.look()
    assert sum(rig.keeper.state.repairs.values()) == 0
    assert rig.keeper.state.generation == rig.host.generation


def test_an_audit_finds_what_no_generation_tells(unlocked: Rig) -> None:
    unlocked.keeper.hold(unlocked.load())
    unlocked.table.chains["op25b_up"].rules.pop()
    unlocked.keeper.look()
    assert sum(unlocked.keeper.state.repairs.values()) == 0
    unlocked.keeper.audit()
    assert unlocked.keeper.state.repairs[Reason.RULES_CHANGED] == 1


def test_an_exemption_that_ends_leaves_the_policy_and_is_no_drift(tmp_path: Path) -> None:
    write_files(tmp_path, exempt(NOW + 60))
    rig = Rig(tmp_path)
    rig.keeper.hold(rig.load())
    assert any("exempt" in name for name in rig.table.sets)
    rig.clock.advance(59)
    rig.keeper.look()
    assert any("exempt" in name for name in rig.table.sets)
    rig.clock.advance(1)
    rig.keeper.look()
    assert not any("exempt" in name for name in rig.table.sets)
    assert sum(rig.keeper.state.repairs.values()) == 0
    assert rig.keeper.state.in_sync


def test_an_exemption_that_a_stranger_takes_away_comes_back_and_is_counted(tmp_path: Path) -> None:
    write_files(tmp_path, exempt(NOW + 60))
    rig = Rig(tmp_path, Lock.NONE)
    rig.keeper.hold(rig.load())
    name = next(name for name in rig.table.sets if "exempt" in name)
    held = rig.table.sets[name]
    assert isinstance(held, FakeSet)
    held.elements.clear()
    rig.host.generation += 1
    rig.keeper.look()
    restored = rig.table.sets[name]
    assert isinstance(restored, FakeSet)
    assert restored.elements
    assert rig.keeper.state.repairs[Reason.SETS_CHANGED] == 1


def test_a_wall_clock_that_jumps_ahead_ends_exemptions_at_once(tmp_path: Path) -> None:
    write_files(tmp_path, exempt(NOW + 60))
    rig = Rig(tmp_path)
    rig.keeper.hold(rig.load())
    rig.clock.wall += 3600  # a clock set after boot: the kernel's own timeout is of another opinion
    rig.keeper.look()
    assert not any("exempt" in name for name in rig.table.sets)
    assert sum(rig.keeper.state.repairs.values()) == 0


def test_a_kernel_that_refuses_is_asked_again_ever_more_slowly(unlocked: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    unlocked.keeper.hold(unlocked.load())
    with monkeypatch.context() as broken:
        refuse(unlocked, broken)
        unlocked.host.flush_ruleset()
        pauses = []
        for _ in range(12):
            unlocked.keeper.look()
            assert unlocked.keeper.retry_in is not None
            pauses.append(unlocked.keeper.retry_in)
            unlocked.keeper.look()  # not yet time: nothing is asked
            assert unlocked.keeper.retry_in == pauses[-1]
            unlocked.clock.advance(pauses[-1])
    assert pauses[:3] == pytest.approx([FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY])
    assert pauses[-1] == LONGEST_RETRY
    assert (unlocked.keeper.state.in_sync, unlocked.keeper.state.trouble) == (False, "out of memory")
    assert unlocked.keeper.state.passed == unlocked.clock.boot - pauses[-1]
    unlocked.keeper.look()
    assert unlocked.keeper.state.in_sync
    assert unlocked.keeper.retry_in is None
    assert "op25b_up" in unlocked.tables


def test_a_defect_in_a_pass_does_not_end_it(unlocked: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    unlocked.keeper.hold(unlocked.load())
    unlocked.host.commit_elsewhere()
    with monkeypatch.context() as broken:
        broken.setattr(unlocked.kernel, "observe", lambda: 1 / 0)
        unlocked.keeper.look()
    assert not unlocked.keeper.state.in_sync
    unlocked.clock.advance(1)
    unlocked.keeper.look()
    assert unlocked.keeper.state.in_sync


def test_what_the_kernel_refuses_leaves_the_former_policy_held(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.keeper.hold(rig.load())
    before = rig.host.generation
    write_files(rig.folder, OP25B.replace("action: reject", "action: drop"))
    with monkeypatch.context() as broken:
        refuse(rig, broken)
        with pytest.raises(KernelError, match="out of memory"):
            rig.keeper.hold(rig.load())
    assert rig.host.generation == before
    rig.keeper.audit()
    assert rig.host.generation == before
    assert rig.keeper.state.in_sync


def test_the_dry_run_comes_before_any_change(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(*_: object, **__: object) -> None:
        raise KernelError("no such expression", errno=2)

    monkeypatch.setattr(rig.kernel, "check", judged)
    with pytest.raises(KernelError, match="no such expression"):
        rig.keeper.hold(rig.load())
    assert rig.host.table is None
    assert not rig.keeper.state.enforcing


def test_a_table_that_another_process_owns_is_left_alone(rig: Rig) -> None:
    rig.keeper.hold(rig.load())
    owner = rig.table.owner
    rig.restart()
    with pytest.raises(TableHeld):
        rig.keeper.hold(rig.load())
    assert rig.table.owner == owner


@pytest.mark.parametrize("lock", Lock)
def test_leaving_leaves_the_policy_in_force(tmp_path: Path, lock: Lock) -> None:
    write_files(tmp_path)
    rig = Rig(tmp_path, lock)
    rig.keeper.hold(rig.load())
    chains = rig.tables
    rig.keeper.leave()
    assert rig.tables == chains
    assert rig.table.owner is None


def test_release_removes_the_table_and_keeps_nothing_from_then_on(rig: Rig) -> None:
    rig.keeper.hold(rig.load())
    assert rig.keeper.release().plan
    assert rig.host.table is None
    FakeKernel(rig.host)
    rig.host.commit_elsewhere()
    rig.keeper.look()
    rig.keeper.audit()
    assert rig.host.table is None
    assert (rig.keeper.state.enforcing, rig.keeper.state.in_sync) == (False, False)
    assert not rig.keeper.release().plan
