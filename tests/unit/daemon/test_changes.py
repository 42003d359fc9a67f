"""Reload, apply and its confirmation, rollback, teardown, the start: what each leaves in the kernel and in the state folder."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from edged.daemon import confirm
from edged.daemon.boot import choose
from edged.daemon.changes import Changes
from edged.daemon.record import Source
from edged.errors import EdgedError, KernelError, Refused
from edged.loader import Configuration, InvalidConfiguration
from edged.lockout.guard import unguarded
from tests.unit.daemon.daemons import EDGED, OP25B, Rig, write_files

WRONG = OP25B.replace("reject", "rejct")
OBSERVE = OP25B.replace("enforce", "observe")


@pytest.fixture(autouse=True)
def fast_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "_TICK", 0.001)


async def begun(rig: Rig) -> Changes:
    """A daemon's start."""
    choice = choose(rig.load, rig.state)
    changes = rig.changes(choice.named)
    await changes.start(choice)
    return changes


async def until_closed(changes: Changes) -> None:
    async with asyncio.timeout(5):
        while changes.seconds_left is not None:
            await asyncio.sleep(0.001)


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def observes(rig: Rig) -> bool:
    """Whether op25b of the policy in the kernel stops nothing."""
    return "op25b_up_ip_observe" in rig.table.counters


def test_reload_takes_the_files_and_keeps_them_as_good(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        change = await changes.reload()
        assert change.steps
        assert change.enforced.generation == rig.host.generation
        assert observes(rig)
        assert not (await changes.reload()).steps

    play(scene())
    kept = rig.state.load_last_good()
    assert kept is not None
    assert kept.policies[0].settings.mode == "observe"


def test_wrong_files_change_nothing_and_say_why(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        before, good = rig.host.generation, rig.state.load_last_good()
        write_files(rig.folder, WRONG)
        with pytest.raises(InvalidConfiguration, match=r"rules\.d/20-op25b\.yaml:4:9: action: .*did you mean 'reject'"):
            await changes.reload()
        assert rig.host.generation == before
        assert rig.state.load_last_good() == good
        assert not changes.record.reload_successful
        assert "rejct" in changes.record.reload_error
        write_files(rig.folder)
        await changes.reload()
        assert changes.record.reload_successful
        assert changes.record.reload_error == ""

    play(scene())


def test_what_the_kernel_refuses_is_not_kept_as_good(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        good = rig.state.load_last_good()
        write_files(rig.folder, OBSERVE)

        def refused(*_: object, **__: object) -> None:
            raise KernelError("no")

        with monkeypatch.context() as broken:
            broken.setattr(rig.kernel, "check", refused)
            with pytest.raises(KernelError):
                await changes.apply(60)
        assert rig.state.load_last_good() == good
        assert rig.state.pending() is None
        assert not changes.record.reload_successful
        assert not observes(rig)

    play(scene())


def last_good_mode(rig: Rig) -> str:
    kept = rig.state.load_last_good()
    assert kept is not None
    return kept.policies[0].settings.mode


def test_a_confirmed_change_stays(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        await changes.apply(60)
        assert rig.state.pending() is not None
        assert last_good_mode(rig) == "enforce"
        await changes.confirm()
        assert rig.state.pending() is None
        assert last_good_mode(rig) == "observe"
        rig.clock.advance(120)
        await asyncio.sleep(0.01)
        assert observes(rig)
        with pytest.raises(Refused, match="no change waits"):
            await changes.confirm()

    play(scene())


def test_an_unconfirmed_change_is_rolled_back_at_its_deadline_whatever_the_wall_clock_says(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        await changes.apply(60)
        rig.clock.wall += 86400
        await asyncio.sleep(0.01)
        rig.clock.wall -= 2 * 86400
        await asyncio.sleep(0.01)
        assert changes.seconds_left == 60
        assert observes(rig)
        rig.clock.boot += 60
        await until_closed(changes)
        assert not observes(rig)
        assert changes.record.source is Source.LAST_GOOD
        assert rig.state.pending() is None
        await changes.reload()  # asked for by name, the same files are taken
        assert observes(rig)
        assert changes.record.source is Source.FILES  # type: ignore[comparison-overlap]  # mypy takes it for what it was asked to be before
        assert rig.state.rejected() is None

    play(scene())


def test_nothing_else_is_taken_while_a_change_waits(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        await changes.apply(60)
        before = rig.host.generation
        for refused in (changes.reload(), changes.apply(10)):
            with pytest.raises(Refused, match="waits for its confirmation"):
                await refused
        assert rig.host.generation == before
        assert changes.record.reload_successful
        assert (await changes.rollback()).steps
        assert not observes(rig)
        with pytest.raises(Refused, match="no change waits"):
            await changes.rollback()

    play(scene())


def test_a_rollback_that_fails_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        await changes.apply(60)
        tries = 0

        def refused(*_: object, **__: object) -> None:
            nonlocal tries
            tries += 1
            raise KernelError("no")

        with monkeypatch.context() as broken:
            broken.setattr(rig.kernel, "check", refused)
            rig.clock.advance(60)
            async with asyncio.timeout(5):
                while tries < 3:
                    await asyncio.sleep(0.001)
        assert rig.state.pending() is not None
        await until_closed(changes)
        assert not observes(rig)

    play(scene())


def test_a_daemon_that_dies_in_the_window_rolls_back_at_its_next_start_and_at_no_later_one(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        await changes.apply(60)
        rig.kernel.close()
        rig.restart()
        changes = await begun(rig)
        assert not observes(rig)
        assert changes.record.source is Source.LAST_GOOD
        assert "waited for confirmation at the start" in changes.record.why_not_files
        assert rig.state.pending() is None
        before = rig.host.generation
        rig.kernel.close()
        rig.restart()
        changes = await begun(rig)  # the files still lie there, and still nobody confirmed them
        assert not observes(rig)
        assert rig.host.generation <= before + 1  # adopted, not written
        await changes.reload()
        assert observes(rig)

    play(scene())


def test_a_daemon_that_is_stopped_in_the_window_rolls_back_first(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        await changes.apply(60)
        await changes.stop()
        assert not observes(rig)
        assert rig.state.pending() is None

    play(scene())


def test_without_an_earlier_policy_a_rollback_enforces_nothing(rig: Rig) -> None:
    async def scene() -> None:
        changes = rig.changes()
        await changes.apply(60)
        assert rig.host.table is not None
        rig.clock.advance(60)
        await until_closed(changes)
        assert rig.host.table is None
        assert "first policy was rolled back" in changes.record.idle
        rig.restart()
        changes = await begun(rig)
        assert rig.host.table is None
        assert "no earlier policy" in changes.record.idle

    play(scene())


def test_teardown_lasts_until_a_reload_and_ends_a_waiting_change(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        await changes.apply(60)
        assert await changes.teardown()
        assert rig.host.table is None
        assert changes.seconds_left is None
        rig.clock.advance(120)
        await asyncio.sleep(0.01)
        assert rig.host.table is None
        assert not await changes.teardown()
        await changes.reload()
        assert rig.host.table is not None
        assert changes.record.idle == ""

    play(scene())


def test_a_start_with_wrong_files_enforces_the_last_good_ones(rig: Rig) -> None:
    async def scene() -> None:
        await begun(rig)
        write_files(rig.folder, WRONG)
        rig.kernel.close()
        rig.restart()
        changes = await begun(rig)
        assert changes.record.source is Source.LAST_GOOD
        assert not changes.record.reload_successful
        assert rig.keeper.state.in_sync
        with pytest.raises(InvalidConfiguration):
            await changes.reload()

    play(scene())


def test_a_start_with_wrong_files_and_no_last_good_ones_fails(rig: Rig) -> None:
    write_files(rig.folder, WRONG)
    with pytest.raises(InvalidConfiguration, match="rejct"):
        choose(rig.load, rig.state)


def test_a_start_with_files_that_the_kernel_refuses_enforces_the_last_good_ones(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        await begun(rig)
        write_files(rig.folder, OBSERVE)
        rig.kernel.close()
        rig.restart()
        check, asked = rig.kernel.check, []

        def first_refused(plan: Any, *, now: float) -> None:
            asked.append(plan)
            if len(asked) == 1:
                raise KernelError("no such expression")
            check(plan, now=now)

        monkeypatch.setattr(rig.kernel, "check", first_refused)
        changes = await begun(rig)
        assert not observes(rig)
        assert "no such expression" in changes.record.why_not_files

    play(scene())


def test_a_state_folder_that_cannot_be_written_keeps_no_policy_out(rig: Rig) -> None:
    async def scene() -> None:
        (rig.folder / "state").write_text("a file where the folder should be")
        changes = await begun(rig)
        assert rig.host.table is not None
        assert "cannot" in changes.record.state_trouble
        write_files(rig.folder, OBSERVE)
        with pytest.raises(Refused, match="nothing was applied"):
            await changes.apply(60)  # its rollback could not be promised
        assert not observes(rig)
        await changes.reload()
        assert observes(rig)
        (rig.folder / "state").unlink()
        await changes.reload()
        assert changes.record.state_trouble == ""

    play(scene())


def test_what_only_a_restart_brings_is_said(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        assert changes.restart_needed == ()
        (rig.folder / "edged.yaml").write_text(f'{EDGED}metrics: {{listen: "127.0.0.1:9999"}}\n')
        change = await changes.reload()
        wanted = "metrics.listen: 127.0.0.1:9999 takes effect when the daemon is restarted; until then it is 127.0.0.1:9825"
        assert wanted in change.warnings
        assert changes.restart_needed == (wanted,)  # type: ignore[comparison-overlap]  # mypy takes it for what it was asked to be before

    play(scene())


def test_changes_come_one_at_a_time(rig: Rig) -> None:
    async def scene() -> None:
        changes = await begun(rig)
        write_files(rig.folder, OBSERVE)
        done = await asyncio.gather(*(changes.apply(60) for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(each, EdgedError) for each in done) == 3
        await changes.rollback()

    play(scene())


def refuse_all(_: Configuration) -> None:
    raise Refused("policy op25b would cut off somebody")


def test_what_the_guard_refuses_changes_nothing_and_no_start_brings_it(rig: Rig) -> None:
    async def scene() -> None:
        await begun(rig)
        rig.guard = refuse_all
        changes = await restarted(rig)
        assert changes.record.source is Source.FILES, "what was in force before is not asked about"
        before, good = rig.host.generation, rig.state.load_last_good()
        write_files(rig.folder, OBSERVE)
        for asked in (changes.reload(), changes.apply(60)):
            with pytest.raises(Refused, match="would cut off somebody"):
                await asked
            assert (rig.host.generation, rig.state.load_last_good(), rig.state.pending()) == (before, good, None)
        assert not changes.record.reload_successful
        rig.guard = unguarded  # nobody is logged in any more
        changes = await restarted(rig)
        assert (changes.record.source, observes(rig)) == (Source.LAST_GOOD, False)
        assert "refused" in changes.record.why_not_files
        await changes.reload()
        assert observes(rig)
        assert rig.state.rejected() is None

    play(scene())


def test_a_start_with_files_that_the_guard_refuses_goes_by_the_last_good_ones(rig: Rig) -> None:
    async def scene() -> None:
        await begun(rig)
        write_files(rig.folder, OBSERVE)
        rig.guard = refuse_all
        changes = await restarted(rig)
        assert (changes.record.source, observes(rig)) == (Source.LAST_GOOD, False)
        assert "a guard does not take them: policy op25b would cut off somebody" in changes.record.why_not_files

    play(scene())


def test_a_guard_may_be_overridden(rig: Rig) -> None:
    async def scene() -> None:
        await begun(rig)
        rig.guard = refuse_all
        changes = await restarted(rig)
        write_files(rig.folder, OBSERVE)
        await changes.reload(unguarded)
        assert observes(rig)
        await changes.apply(60, unguarded)
        await changes.confirm()

    play(scene())


async def restarted(rig: Rig) -> Changes:
    """Another process of the daemon on the same host."""
    rig.kernel.close()
    rig.restart()
    return await begun(rig)
