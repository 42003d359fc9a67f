"""Watches the sources of the lists: files for a change, addresses on the web by the clock."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edged.clock import Clock
from edged.config.blocklist import ListSource
from edged.daemon.changes import Changes
from edged.durable import replacing
from edged.errors import EdgedError
from edged.fetch.client import Fetched, FetchFailed, Request, Unchanged, fetch
from edged.lists.book import ListBook, shown_source, sources_of

_log = logging.getLogger(__name__)

_TICK = 0.1  # a look is one stat(2) a list
_RETRY = 5.0  # after the kernel refused changed lists
_SOONEST_RETRY = 60.0  # after a failed fetch, doubled each time up to the list's `refresh`


class ListWatch:
    """Takes lists whose sources changed; for one event loop."""

    def __init__(self, lists: ListBook, changes: Changes, clock: Clock) -> None:
        self._lists = lists
        self._changes = changes
        self._clock = clock
        self._due: dict[str, float] = {}  # when a `url` is asked next, by CLOCK_BOOTTIME
        self._failures: dict[str, int] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._retry_at: float | None = None  # CLOCK_BOOTTIME; None: what was accepted is in force
        self.trouble = ""  # why lists that were accepted are not in force

    async def run(self) -> None:
        """Watch until cancelled."""
        changed: set[str] = set()
        try:
            while True:
                await asyncio.sleep(_TICK)
                sources = tuple(sources_of(self._changes.record.configuration))
                now = {source.name for source in sources if self._lists.has_changed(source)}
                # one that changed just now may still be written to; it is taken when it has stood still for a tick
                if (changed and changed == now) or self._is_overdue():
                    await self._take()
                    now = set()
                changed = now
                self._start_fetches(sources)
        finally:
            for task in self._fetching.values():
                task.cancel()
            await asyncio.gather(*self._fetching.values(), return_exceptions=True)

    def _is_overdue(self) -> bool:
        return self._retry_at is not None and self._clock.boottime() >= self._retry_at

    async def _take(self) -> None:
        try:
            change = await self._changes.take_lists()
        # also edged's own fault: it must not end the daemon
        except Exception as error:  # noqa: BLE001
            self._retry_at = self._clock.boottime() + _RETRY
            self.trouble = f"changed lists are not in force, next try in {_RETRY:.0f} s: {error}"
            _log.error("%s", self.trouble, exc_info=None if isinstance(error, EdgedError) else error)
        else:
            self._retry_at, self.trouble = None, ""
            if change is not None and change.steps:
                _log.info("changed lists are in force, %d steps", len(change.steps))

    # --- fetching ---

    def hurry(self) -> tuple[str, ...]:
        """Have every `url` asked now; the lists' names."""
        self._due.clear()
        return tuple(source.name for source in sources_of(self._changes.record.configuration) if source.url is not None)

    def _start_fetches(self, sources: tuple[ListSource, ...]) -> None:
        for source in self._overdue(sources):
            self._fetching[source.name] = asyncio.create_task(self._fetch(source))

    def _overdue(self, sources: tuple[ListSource, ...]) -> Iterator[ListSource]:
        now = self._clock.boottime()
        for source in sources:
            if source.url is not None and source.name not in self._fetching and now >= self._due.get(source.name, 0.0):
                yield source

    async def _fetch(self, source: ListSource) -> None:
        """Ask once; whatever comes of it, the time of the next try is set."""
        self._due[source.name] = self._clock.boottime() + source.refresh
        try:
            await self._ask(source)
        finally:
            del self._fetching[source.name]

    async def _ask(self, source: ListSource) -> None:
        try:
            await self._fetched(source)
        except EdgedError as error:
            failures = self._failures[source.name] = self._failures.get(source.name, 0) + 1
            wait = min(source.refresh, _SOONEST_RETRY * 2 ** min(failures - 1, 10))
            # so that gateways which lost the network together do not come back together
            self._due[source.name] = self._clock.boottime() + wait * random.uniform(0.8, 1.2)  # noqa: S311  no secret
            await asyncio.to_thread(self._lists.fail, source, f"cannot be fetched: {error}")
        except Exception:  # noqa: BLE001  edged's own fault must not end the daemon
            _log.exception("list %s: fetching %s", source.name, shown_source(source))
        else:
            self._failures.pop(source.name, None)

    async def _fetched(self, source: ListSource) -> None:
        path = self._lists.file_of(source)
        tags = path.with_name(f"{path.name}.json")
        known = _tags(tags, source) if path.exists() else {}
        request = Request(
            url=source.url or "",
            etag=known.get("etag", ""),
            last_modified=known.get("last_modified", ""),
            largest=source.guards.largest,
            ca=source.ca,
        )
        try:
            answer = await _into(path, request)
        except OSError as error:
            raise FetchFailed(f"{path} cannot be written: {error.strerror}") from error
        match answer:
            case Unchanged():
                await asyncio.to_thread(self._lists.succeed, source)
            case Fetched(etag, last_modified, _):
                content = {"url": source.url, "etag": etag, "last_modified": last_modified}
                with suppress(OSError), replacing(tags) as file:
                    file.write(json.dumps(content).encode())


async def _into(path: Path, request: Request) -> Fetched | Unchanged:
    """Fetch into the file, which stays as it was where there is nothing newer. Raises FetchFailed, OSError."""
    answer: Fetched | Unchanged = Unchanged()
    with suppress(_NothingNewer), replacing(path) as file:
        answer = await fetch(request, file)
        _keep_unless_new(answer)
    return answer


def _keep_unless_new(answer: Fetched | Unchanged) -> None:
    if isinstance(answer, Unchanged):
        raise _NothingNewer


class _NothingNewer(Exception):
    """Leaves `replacing` with the old file in place."""


def _tags(path: Path, source: ListSource) -> dict[str, str]:
    """What the server said of the file that is there; nothing where that was another address."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("url") == source.url else {}
