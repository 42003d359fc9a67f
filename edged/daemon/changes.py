"""The changes an operator asks for, one at a time: the first start, reload, apply with its confirmation, rollback, teardown.

    start      the files; where they are wrong or were rolled back, the last good configuration
    reload     load, guard, dry run, apply, verify, keep as last good; whatever fails changes nothing and is told to who asked
    apply      the same, but with a confirmation the change is noted first, and becomes "good" only when it is confirmed
    rollback   back to the last good configuration; without any, back to enforcing nothing
    teardown   nothing is enforced, until a reload or a restart

A change that waits for confirmation is on disk before it is in the kernel: whenever the daemon dies, its next start rolls back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from edged.clock import Clock
from edged.daemon.boot import Choice
from edged.daemon.change import Change, InWriter, Lists
from edged.daemon.confirm import Window
from edged.daemon.keeper import Keeper
from edged.daemon.record import Record, Source, restart_needed
from edged.enforce import Enforced
from edged.errors import EdgedError, Refused, TableHeld
from edged.loader import Configuration
from edged.lockout.guard import Guard
from edged.state import Pending, StateFolder, digest

_log = logging.getLogger(__name__)


class Changes:
    """Changes the policy in force; for one event loop. `record` says how it stands."""

    def __init__(
        self,
        keeper: Keeper,
        state: StateFolder,
        clock: Clock,
        load: Callable[[], Configuration],
        in_writer: InWriter,
        first: Configuration,
        lists: Lists,
        guard: Guard,
    ) -> None:
        self.record = Record(first, idle="the daemon is starting")
        self._keeper = keeper
        self._state = state
        self._clock = clock
        self._load = load
        self._in_writer = in_writer
        self._lists = lists
        self._guard = guard
        self.first = first  # whose sockets are open
        self._good: Configuration | None = None  # what a rollback goes back to
        self._window = Window(clock, self._expire)
        self._turn = asyncio.Lock()

    async def start(self, choice: Choice) -> None:
        """Enforce the first candidate that guard and kernel take. Raises TableHeld, or the last candidate's EdgedError."""
        async with self._turn:
            if not choice.candidates:
                await self._enforce_nothing(choice.idle)
            why = ""
            for position, candidate in enumerate(choice.candidates, start=1):
                try:
                    configuration = await asyncio.to_thread(self._lists.in_force, candidate.configuration)
                    if not candidate.was_in_force:
                        await self._ask(self._guard, configuration)
                    await self._hold(configuration, candidate.source, candidate.why_not_files or why)
                except TableHeld:
                    raise
                except EdgedError as error:
                    if position == len(choice.candidates):
                        raise
                    by = "a guard" if isinstance(error, Refused) else "the kernel"
                    why = f"{by} does not take them: {error}"
                    _log.error("the files are not enforced, the last good configuration is: %s", why)
                else:
                    break
            if choice.rolls_back:
                await self._keep(self._state.reject)
            elif self.record.source is Source.FILES and not self.record.idle:
                await self._save_good()

    async def reload(self, guard: Guard | None = None) -> Change:
        """Take the files anew, where the daemon's guard, or this one in its place, lets them through.

        Raises EdgedError; then nothing has changed.
        """
        async with self._turn:
            self._refuse_while_waiting()
            with self._failure_noted():
                change = await self._take_files(guard or self._guard)
                await self._save_good()
            return change

    async def take_lists(self) -> Change | None:
        """Take the lists whose sources changed into the policy in force; None where nothing is enforced. Raises EdgedError."""
        async with self._turn:
            if self.record.idle:
                return None
            configuration = await asyncio.to_thread(self._lists.refreshed, self.record.configuration)
            enforced = await self._in_writer(lambda: self._keeper.hold(configuration))
            self.record = replace(self.record, configuration=configuration)
            if self._good is not None and self._good.sources == configuration.sources:
                self._good = configuration
            return Change(enforced)

    async def apply(self, confirm_seconds: float, guard: Guard | None = None) -> Change:
        """Take the files anew, and roll them back after so long unless confirm comes. Raises EdgedError, as reload."""
        async with self._turn:
            self._refuse_while_waiting()
            with self._failure_noted():
                return await self._take_files_for(confirm_seconds, guard or self._guard)

    async def confirm(self) -> None:
        """Keep the change that waits. Raises Refused where none does."""
        async with self._turn:
            self._refuse_unless_waiting()
            self._window.close()
            # kept as good before it ceases to wait: dying in between, the next start rolls back to this very change
            await self._save_good()
            await self._keep(self._state.end_confirm)
            _log.info("the change is confirmed")

    async def rollback(self) -> Change:
        """Take the change that waits back at once. Raises Refused where none does, EdgedError; then it still waits."""
        async with self._turn:
            self._refuse_unless_waiting()
            return await self._roll_back("it was asked for")

    async def teardown(self) -> bool:
        """Remove all that edged made and enforce nothing; whether there was anything. Raises EdgedError."""
        async with self._turn:
            enforced = await self._enforce_nothing("the policy was torn down; `edged reload` brings it back")
            if self._window.until is not None:
                self._window.close()
                await self._keep(self._state.abandon)
            return bool(enforced.plan)

    @property
    def seconds_left(self) -> float | None:
        """How long the change that waits may still be confirmed; None where none waits."""
        return None if self._window.until is None else max(0.0, self._window.until - self._clock.boottime())

    @property
    def restart_needed(self) -> tuple[str, ...]:
        """What of the configuration in force only a restart brings."""
        return restart_needed(self.first, self.record.configuration)

    async def stop(self) -> None:
        """Let a change that is under way come to its end, take no other; one that waits is rolled back, since its timer ends."""
        await self._turn.acquire()
        if self._window.until is None:
            return
        try:
            await self._roll_back("the daemon ends")
        except EdgedError as error:
            _log.error("the next start rolls the change back: %s", error)
            self._window.close()

    # --- parts; each runs inside one turn ---

    async def _loaded(self, guard: Guard) -> Configuration:
        configuration = await asyncio.to_thread(lambda: self._lists.refreshed(self._load()))
        await self._ask(guard, configuration)
        return configuration

    async def _ask(self, guard: Guard, configuration: Configuration) -> None:
        try:
            await asyncio.to_thread(guard, configuration)
        except Refused:
            await self._keep(lambda: self._state.refuse(digest(configuration.sources)))
            raise

    async def _take_files(self, guard: Guard) -> Change:
        configuration = await self._loaded(guard)
        enforced = await self._hold(configuration, Source.FILES, "")
        await asyncio.to_thread(self._lists.forget_others, configuration)
        return Change(enforced, (*map(str, configuration.warnings), *self.restart_needed), self._lists.refused)

    async def _take_files_for(self, seconds: float, guard: Guard) -> Change:
        configuration = await self._loaded(guard)
        pending = Pending(self._clock.boot_id(), self._clock.boottime() + seconds, digest(configuration.sources))
        try:
            await asyncio.to_thread(self._state.begin_confirm, pending)
        except EdgedError as error:
            raise Refused(f"nothing was applied: {error}") from error
        try:
            enforced = await self._hold(configuration, Source.FILES, "")
        except BaseException:
            await self._keep(self._state.end_confirm)
            raise
        self._window.open(pending.deadline)
        return Change(enforced, (*map(str, configuration.warnings), *self.restart_needed), self._lists.refused)

    async def _hold(self, configuration: Configuration, source: Source, why_not_files: str) -> Enforced:
        enforced = await self._in_writer(lambda: self._keeper.hold(configuration))
        files = source is Source.FILES
        self.record = replace(
            self.record,
            configuration=configuration,
            source=source,
            why_not_files=why_not_files,
            reload_successful=files,
            reload_success=self._clock.now() if files else self.record.reload_success,
            reload_error="" if files else self.record.reload_error or why_not_files,
            idle="",
        )
        if not files:
            self._good = configuration
        return enforced

    async def _enforce_nothing(self, why: str) -> Enforced:
        enforced = await self._in_writer(self._keeper.release)
        self.record = replace(self.record, idle=why)
        _log.warning("nothing is enforced: %s", why)
        return enforced

    async def _save_good(self) -> None:
        self._good = good = self.record.configuration
        await self._keep(lambda: self._state.save_last_good(good))

    async def _keep(self, write: Callable[[], object]) -> None:
        """Write to the state folder; what is enforced does not depend on that this succeeds."""
        try:
            await asyncio.to_thread(write)
        except EdgedError as error:
            _log.error("%s", error)
            self.record = replace(self.record, state_trouble=str(error))
        else:
            self.record = replace(self.record, state_trouble="")

    async def _roll_back(self, why: str) -> Change:
        if self._good is not None:
            not_files = f"the change was rolled back, {why}; `edged reload` takes the files"
            good = await asyncio.to_thread(self._lists.in_force, self._good)
            enforced = await self._hold(good, Source.LAST_GOOD, not_files)
        else:
            enforced = await self._enforce_nothing("the first policy was rolled back; `edged reload` takes the files")
        # only now: dying before this line, the next start rolls back once more
        await self._keep(self._state.reject)
        self._window.close()
        _log.warning("the change was rolled back: %s", why)
        return Change(enforced, self.restart_needed)

    async def _expire(self) -> None:
        async with self._turn:
            if self._window.until is not None:
                await self._roll_back("nobody confirmed it")

    def _refuse_while_waiting(self) -> None:
        if self._window.until is not None:
            raise Refused(
                "a change waits for its confirmation and nothing else is taken meanwhile; nothing changed. "
                "Keep it: edged confirm. Or wait: it is rolled back by itself."
            )

    def _refuse_unless_waiting(self) -> None:
        if self._window.until is None:
            raise Refused("no change waits for confirmation; nothing changed (was it rolled back? edged status tells)")

    @contextmanager
    def _failure_noted(self) -> Iterator[None]:
        try:
            yield
        except EdgedError as error:
            self.record = replace(self.record, reload_successful=False, reload_error=str(error))
            raise
