"""The operator's files to one typed configuration, or every mistake in all of them at once.

    bytes -> document (data with places) -> models -> findings across keys and files -> Configuration

Nothing past this module sees a dict, a string that stands for an address, or a file that was not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from edged.addresses import Family
from edged.config.document import Document, read_document
from edged.config.files import LARGEST_TABLE, DiskFiles, Files, TooLarge, Unreadable, shown_path
from edged.config.gateway import EdgedFile, PoolName
from edged.config.problem import Finding, InvalidConfiguration, Problem, Severity
from edged.config.review import review
from edged.config.scalars import Loading
from edged.config.schema import schema
from edged.config.validate import not_a_mapping, validate, word_expected
from edged.policies import POLICIES, Mode, Policy, Site
from edged.ruleset.compile import compile_table
from edged.ruleset.tree import Table
from edged.subscribers import Rows, Subscribers

if TYPE_CHECKING:
    from edged.sources.stored import StoredList

__all__ = ["Configuration", "InvalidConfiguration", "PlacedPolicy", "Problem", "Severity", "load", "schema"]


@dataclass(frozen=True, slots=True)
class PlacedPolicy:
    """A policy's settings, and where they stand."""

    settings: Policy
    places: Document
    file: Path


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
    lists: Mapping[str, StoredList] = field(default_factory=dict)  # those in force, by name; the list book puts them here

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that was read, edged.yaml first."""
        return tuple(self.sources)

    def site(self) -> Site:
        """The gateway as its policies see it."""
        return _site(self.edged, self.places, self.lists)

    def table(self, now: int) -> Table:
        """The table that enforces every policy that is not off; `now` (seconds since the epoch) ends exemptions."""
        site = self.site()
        fragments = [site.declare()]
        fragments += [
            each.settings.declare(site, each.places, now) for each in self.policies if each.settings.mode is not Mode.OFF
        ]
        return compile_table(site.access, site.upstream, fragments)


def load(path: Path, *, now: datetime, files: Files | None = None) -> Configuration:
    """Read edged.yaml and all it names, from the disk where no other files are given; `now` (aware) bounds the dates in it.

    Raises InvalidConfiguration, with every problem of every file; whatever the files hold, it raises nothing else.
    """
    return _Load(path, now, files or DiskFiles()).configuration()


def _site(edged: EdgedFile, places: Document, lists: Mapping[str, StoredList]) -> Site:
    return Site(
        edged.gateway.access,
        edged.gateway.upstream,
        {PoolName.DYNAMIC: edged.pools.dynamic, PoolName.STATIC: edged.pools.static},
        edged.never_block,
        places.at("never_block"),
        edged.marks.fields,
        {name: each.entries for name, each in lists.items()},
    )


class _Load:
    """One run over the files; problems gather as they are met."""

    def __init__(self, path: Path, now: datetime, files: Files) -> None:
        self.path = path.absolute()
        self.loading = Loading(self.path.parent, now)
        self.problems: list[Problem] = []
        self.files = files
        self.sources: dict[Path, bytes] = {}
        self.order: dict[str, int] = {}

    def configuration(self) -> Configuration:
        """Everything, or InvalidConfiguration."""
        document = self.read(self.path)
        if document is None:
            raise self.invalid()
        edged, found = validate(EdgedFile, document, self.loading)
        self.add(found)
        policies = self.policies(self.rule_files(document, edged))
        rows = self.subscriber_rows(self.subscribers_file(document, edged), document, policies)
        if edged is not None:
            self.review(document, edged, policies)
            self.review_rows(rows, edged, document)
        if edged is None or any(problem.severity is Severity.ERROR for problem in self.problems):
            raise self.invalid()
        lengths = {Family.IPV4: edged.subscriber_prefix.ipv4, Family.IPV6: edged.subscriber_prefix.ipv6}
        subscribers = Subscribers(rows, lengths)
        return Configuration(self.path, edged, document, policies, self.ordered(), self.sources, subscribers)

    def review(self, document: Document, edged: EdgedFile, policies: Iterable[PlacedPolicy]) -> None:
        """Note what only shows across keys and files."""
        self.add(document.problem(finding) for finding in review(edged))
        site, now = _site(edged, document, {}), int(self.loading.now.timestamp())
        for policy in policies:
            if policy.settings.mode is not Mode.OFF:
                self.add(policy.places.problem(finding) for finding in policy.settings.review(site, now))

    def read(self, path: Path) -> Document | None:
        """The document of that file, its problems noted."""
        name = self.name(path)
        try:
            raw = self.files.read(path)
        except TooLarge as error:
            message = f"the file {error}; bulk data belongs into a list, not into YAML"
            self.problems.append(Problem(name, 1, 1, "", message))
            return None
        except Unreadable as error:
            self.problems.append(Problem(name, 1, 1, "", f"the file {error}"))
            return None
        self.sources[path] = raw
        document, problems = read_document(name, raw)
        self.problems += problems
        return document

    def name(self, path: Path) -> str:
        """The file's name in problems; they are sorted by the order in which files are named first."""
        name = shown_path(path, self.path.parent)
        self.order.setdefault(name, len(self.order))
        return name

    def add(self, problems: Iterable[Problem]) -> None:
        """Note the problems, but for those at a place that is known to be wrong already."""
        wrong = (problem for problem in self.problems if problem.severity is Severity.ERROR)
        said = {(problem.file, problem.line, problem.column) for problem in wrong}
        self.problems += (problem for problem in problems if (problem.file, problem.line, problem.column) not in said)

    def subscribers_file(self, document: Document, edged: EdgedFile | None) -> Path | None:
        """The file of subscribers; where edged.yaml is wrong elsewhere, its `subscribers` is used still."""
        if edged is not None:
            return edged.subscribers
        named = document.data.get("subscribers") if isinstance(document.data, dict) else None
        return self.path.parent / named if isinstance(named, str) and named and named.isprintable() else None

    def subscriber_rows(self, path: Path | None, document: Document, policies: Iterable[PlacedPolicy]) -> Rows:
        """The rows of the file of subscribers; none where there is no such file, or it is wrong."""
        if path is None:
            return Rows()
        name = self.name(path)
        try:
            raw = self.files.read(path, LARGEST_TABLE)
        except Unreadable as error:
            self.add((document.problem(Finding(("subscribers",), f"{name} {error}")),))
            return Rows()
        self.sources[path] = raw
        from edged.sources.subscribers import parse  # noqa: PLC0415  numpy, which a gateway without the file does without

        named = [names for policy in policies if (names := policy.settings.plan_names()) is not None]
        parsing = parse(raw, tuple(sorted({*chain.from_iterable(named)})) if named else None)
        self.problems += (Problem(name, each.line, each.column, each.column_name, each.message) for each in parsing.mistakes)
        if parsing.untold:
            last = parsing.mistakes[-1]
            self.problems.append(Problem(name, last.line, last.column, "", f"and {parsing.untold} more mistakes in this file"))
        return parsing.rows or Rows()

    def review_rows(self, rows: Rows, edged: EdgedFile, document: Document) -> None:
        """Warn of prefixes that no policy will ever see a packet of."""
        site = _site(edged, document, {})
        outside = sorted(place for family in Family for place in rows.outside(family, site.addresses(PoolName, family)))
        if outside and edged.subscribers is not None:
            more = f", nor are {len(outside) - 1} others" if len(outside) > 1 else ""
            message = f"{rows.prefix(outside[0])} is in no pool{more}; no policy takes its addresses for a subscriber's"
            line = rows.row_with(outside[0]).line
            name = self.name(edged.subscribers)
            self.problems.append(Problem(name, line, 1, "prefixes", message, Severity.WARNING))

    def rule_files(self, document: Document, edged: EdgedFile | None) -> Iterator[Path]:
        """The files of the rules folder; where edged.yaml is wrong elsewhere, its `rules` is used still."""
        if edged is not None:
            folder = edged.rules
        else:
            named = document.data.get("rules") if isinstance(document.data, dict) else None
            folder = self.path.parent / (named if isinstance(named, str) and named.isprintable() else "rules.d")
        try:
            names = self.files.names(folder)
        except Unreadable as error:
            self.add((document.problem(Finding(("rules",), f"{shown_path(folder, self.path.parent)} {error}")),))
            return
        if not any(name.endswith(".yaml") for name in names):
            message = f"no *.yaml in {shown_path(folder, self.path.parent)}: no policy is in force"
            self.add((document.problem(Finding(("rules",), message, Severity.WARNING)),))
        for name in names:
            if name.endswith(".yaml"):
                yield folder / name
            elif name.endswith(".yml"):
                message = "the file is not read; only *.yaml is"
                self.problems.append(Problem(self.name(folder / name), 1, 1, "", message, Severity.WARNING))

    def policies(self, files: Iterable[Path]) -> tuple[PlacedPolicy, ...]:
        """The valid policies of those files, in their order of precedence."""
        first: dict[type[Policy], Document] = {}
        placed: dict[type[Policy], PlacedPolicy] = {}
        for path in files:
            document = self.read(path)
            policy = self.kind(document) if document is not None else None
            if document is None or policy is None:
                continue
            settings, found = validate(policy, document, self.loading, policy.explain_key)
            self.add(found)
            if policy in first:
                message = f"a policy has one file; this one is set in {first[policy].at('policy')} already"
                self.add((document.problem(Finding(("policy",), message)),))
                continue
            first[policy] = document
            if settings is not None:
                placed[policy] = PlacedPolicy(settings, document, path)
        return tuple(placed[policy] for policy in POLICIES if policy in placed)

    def kind(self, document: Document) -> type[Policy] | None:
        """Which policy the file is about."""
        known = {get_args(policy.model_fields["policy"].annotation)[0]: policy for policy in POLICIES}
        expected = " or ".join((", ".join(map(repr, list(known)[:-1])), repr(list(known)[-1])))
        if not isinstance(document.data, dict):
            self.add((not_a_mapping(document),))
            return None
        if "policy" not in document.data:
            self.add((document.problem(Finding(("policy",), f"missing; expected {expected}"), document.key_mark(())),))
            return None
        named = document.data["policy"]
        if not isinstance(named, str) or named not in known:
            self.add((document.problem(Finding(("policy",), word_expected(expected, named))),))
            return None
        return known[named]

    def ordered(self) -> tuple[Problem, ...]:
        """The problems as people read files: file after file, from the top."""
        return tuple(sorted(self.problems, key=lambda each: (self.order[each.file], each.line, each.column)))

    def invalid(self) -> InvalidConfiguration:
        """The error that tells of all problems."""
        return InvalidConfiguration(self.ordered())
