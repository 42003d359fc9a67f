"""One gateway's configuration, valid as a whole: what the loader gives, and everyone else takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from edged.addresses import Family
from edged.config.document import Document
from edged.config.gateway import EdgedFile, PoolName
from edged.config.problem import Problem
from edged.policies import Mode, Policy, Site
from edged.ruleset.compile import compile_table
from edged.ruleset.tree import Table
from edged.sources.hosts import Hosts
from edged.subscribers import Subscribers

if TYPE_CHECKING:
    from edged.sources.stored import StoredList


@dataclass(frozen=True, slots=True)
class PlacedPolicy:
    """A policy's settings, and where they stand."""

    settings: Policy
    places: Document
    file: Path


NOBODY = Subscribers()
NOTHING: Mapping[str, StoredList] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Configuration:
    """All files of one configuration, valid; `sources` are the files it was read from, as read, edged.yaml first."""

    path: Path
    edged: EdgedFile
    places: Document
    policies: tuple[PlacedPolicy, ...]
    warnings: tuple[Problem, ...]
    sources: Mapping[Path, bytes]
    subscribers: Subscribers = field(default_factory=Subscribers)
    streaming_hosts: Hosts = field(default_factory=Hosts)
    lists: Mapping[str, StoredList] = field(default_factory=dict)  # those in force, by name; the list book puts them here
    _site: Site | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that was read, edged.yaml first."""
        return tuple(self.sources)

    def site(self) -> Site:
        """The gateway as its policies see it."""
        if self._site is None:  # of a hundred thousand subscribers it takes a tenth of a second
            plans = {name for each in self.policies for name in each.settings.plan_names() or ()}
            object.__setattr__(self, "_site", site_of(self.edged, self.places, self.lists, self.subscribers, plans))
        assert self._site is not None  # noqa: S101  made above
        return self._site

    def table(self, now: int) -> Table:
        """The table that enforces every policy that is not off; `now` (seconds since the epoch) ends exemptions."""
        site = self.site()
        fragments = [site.declare()]
        fragments += [
            each.settings.declare(site, each.places, now) for each in self.policies if each.settings.mode is not Mode.OFF
        ]
        return compile_table(site.access, site.upstream, fragments)


def site_of(
    edged: EdgedFile,
    places: Document,
    lists: Mapping[str, StoredList] = NOTHING,
    subscribers: Subscribers = NOBODY,
    plans: Iterable[str] = (),
) -> Site:
    """The gateway of those files as policies see it, with these lists in force, and the subscribers of those plans."""
    return Site(
        edged.gateway.access,
        edged.gateway.upstream,
        {PoolName.DYNAMIC: edged.pools.dynamic, PoolName.STATIC: edged.pools.static},
        edged.never_block,
        places.at("never_block"),
        edged.marks.fields,
        {name: each.entries for name, each in lists.items()},
        {plan: {family: subscribers.prefixes_of_plan(plan, family) for family in Family} for plan in plans},
    )
