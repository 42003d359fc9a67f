"""Which lists are in force, and how each stands with its source.

A list takes effect when its source was read whole and its guards let it through; until then the last good one stays, be the
source gone, broken, empty or wrong. A refusal never keeps anything else from taking effect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from edged.clock import Clock
from edged.config.blocklist import ListSource
from edged.errors import EdgedError
from edged.lists.reading import read, signature
from edged.lists.store import ListStore
from edged.loader import Configuration
from edged.policies import Blocklist
from edged.sources.guards import Protected
from edged.sources.parsed import ListRefused, Reason
from edged.sources.stored import StoredList

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """How a list stands."""

    name: str
    source: str
    entries: int = 0
    accepted: float = 0.0  # seconds since the epoch at which the list in force was accepted; 0: none is
    succeeded: float = 0.0  # seconds since the epoch at which its source was last found good
    bad_lines: int = 0  # of the list in force
    refused: str = ""  # why its source, as it is now, is not in force
    reason: Reason | None = None
    refusals: Mapping[Reason, int] | None = None  # since the process began


@dataclass(frozen=True, slots=True)
class _Read:
    """A source as it was last read: what the outcome depends on, and the size and age of the file."""

    source: ListSource
    protected: tuple[Protected, ...]
    signature: tuple[int, ...] | None  # None: it could not be opened


class ListBook:
    """The lists of one gateway, by name; calls come one at a time, `health` may be read by any thread."""

    def __init__(self, store: ListStore, clock: Clock, protected: Callable[[Configuration], Sequence[Protected]]) -> None:
        self._store = store
        self._clock = clock
        self._protected = protected
        self._lock = Lock()
        self._in_force: dict[str, StoredList] = {}
        self._read: dict[str, _Read] = {}
        self._health: dict[str, Health] = {}
        self.trouble = ""  # what could not be kept on disk

    @property
    def health(self) -> tuple[Health, ...]:
        """How each list stands."""
        return tuple(self._health.values())

    @property
    def refused(self) -> tuple[str, ...]:
        """Each list whose source, as it is now, is not in force, and why."""
        return tuple(f"list {each.name} is refused ({each.source}): {each.refused}" for each in self.health if each.refused)

    def in_force(self, configuration: Configuration) -> Configuration:
        """The configuration with the lists as they were last accepted; a list that never was is read from its source."""
        with self._lock:
            sources = sources_of(configuration)
            for source in sources:
                if source.name not in self._in_force and (kept := self._store.load(source.name)) is not None:
                    self._in_force[source.name] = kept
                    self._note(source, kept, kept.loaded)
            never = [source for source in sources if source.name not in self._in_force]
            if never:
                protected = tuple(self._protected(configuration))
                for source in never:
                    self._take(source, protected)
            return self._with_lists(configuration, sources)

    def refreshed(self, configuration: Configuration) -> Configuration:
        """The configuration with every list that its guards let through, read anew where its source changed."""
        with self._lock:
            sources = sources_of(configuration)
            protected = tuple(self._protected(configuration)) if sources else ()
            for source in sources:
                if source.name not in self._in_force and (kept := self._store.load(source.name)) is not None:
                    self._in_force[source.name] = kept
                read = _Read(source, protected, signature(self.file_of(source)))
                if read != self._read.get(source.name):
                    self._take(source, protected)
            return self._with_lists(configuration, sources)

    def file_of(self, source: ListSource) -> Path:
        """The file that the list is read from."""
        return source.path if source.path is not None else self._store.fetched(source.name)

    def has_changed(self, source: ListSource) -> bool:
        """Whether the list's file is another one than was last read; costs one system call."""
        read = self._read.get(source.name)
        return read is None or read.signature != signature(self.file_of(source))

    def succeed(self, source: ListSource) -> None:
        """Note that the source was asked and has nothing newer."""
        with self._lock:
            if source.name in self._health:
                self._health[source.name] = replace(self._health[source.name], succeeded=self._clock.now())

    def fail(self, source: ListSource, why: str) -> None:
        """Note that the source could not be asked; what is in force stays."""
        with self._lock:
            self._refuse(source, ListRefused(why, Reason.UNREADABLE))

    def forget_others(self, configuration: Configuration) -> None:
        """Drop what belongs to no list of the configuration."""
        with self._lock:
            names = {source.name for source in sources_of(configuration)}
            self._in_force = {name: each for name, each in self._in_force.items() if name in names}
            self._read = {name: each for name, each in self._read.items() if name in names}
            self._health = {name: each for name, each in self._health.items() if name in names}
            self._store.forget_others(names)

    # --- parts; each runs under the lock ---

    def _with_lists(self, configuration: Configuration, sources: Sequence[ListSource]) -> Configuration:
        lists = {source.name: self._in_force[source.name] for source in sources if source.name in self._in_force}
        return replace(configuration, lists=lists)

    def _take(self, source: ListSource, protected: tuple[Protected, ...]) -> None:
        former = self._in_force.get(source.name)
        path = self.file_of(source)
        # before it is read: a change while it is read makes it be read again
        self._read[source.name] = _Read(source, protected, signature(path))
        try:
            parsed = read(source, path, protected, former)
        except ListRefused as refused:
            self._refuse(source, refused)
            return
        now = self._clock.now()
        if former is not None and former.sha256 == parsed.sha256:
            self._note(source, former, now)
            return
        accepted = StoredList(
            name=source.name,
            entries=parsed.entries,
            count=parsed.count,
            bad_count=parsed.bad_count,
            sha256=parsed.sha256,
            loaded=now,
            source=shown_source(source),
        )
        self._keep(accepted)
        self._in_force[source.name] = accepted
        self._note(source, accepted, now)
        _log.info("list %s: %d entries taken from %s", source.name, accepted.count, accepted.source)
        for bad in parsed.bad:
            _log.warning("list %s: %s:%d: %s; the line is left out", source.name, accepted.source, bad.line, bad.message)

    def _keep(self, accepted: StoredList) -> None:
        try:
            self._store.save(accepted)
        except EdgedError as error:
            _log.error("%s", error)
            self.trouble = str(error)
        else:
            self.trouble = ""

    def _note(self, source: ListSource, accepted: StoredList, succeeded: float) -> None:
        before = self._health.get(source.name)
        self._health[source.name] = Health(
            name=source.name,
            source=shown_source(source),
            entries=accepted.count,
            accepted=accepted.loaded,
            succeeded=succeeded,
            bad_lines=accepted.bad_count,
            refusals=before.refusals if before else None,
        )

    def _refuse(self, source: ListSource, refused: ListRefused) -> None:
        before = self._health.get(source.name) or Health(source.name, shown_source(source))
        if source.name in self._in_force and not before.accepted:
            self._note(source, self._in_force[source.name], self._in_force[source.name].loaded)
            before = self._health[source.name]
        counts = {**(before.refusals or {})}
        counts[refused.reason] = counts.get(refused.reason, 0) + 1
        self._health[source.name] = replace(before, refused=str(refused), reason=refused.reason, refusals=counts)
        stays = f"the last good one stays in force, {before.entries} entries" if before.accepted else "it has never been good"
        _log.error("list %s is refused (%s): %s; %s", source.name, shown_source(source), refused, stays)


def sources_of(configuration: Configuration) -> tuple[ListSource, ...]:
    """The lists that the configuration asks for."""
    return tuple(
        source for each in configuration.policies if isinstance(each.settings, Blocklist) for source in each.settings.lists
    )


def shown_source(source: ListSource) -> str:
    """Where the list comes from, in words: an address without what may be a secret in it."""
    if source.path is not None:
        return str(source.path)
    parts = urlsplit(source.url or "")
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
