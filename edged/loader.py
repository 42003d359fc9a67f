"""The operator's files to one typed configuration, or every mistake in all of them at once.

    bytes -> document (data with places) -> models -> findings across keys and files -> Configuration

Nothing past this module sees a dict, a string that stands for an address, or a file that was not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import get_args

from edged.addresses import Family
from edged.config.document import Document, read_document
from edged.config.files import LARGEST_TABLE, DiskFiles, Files, TooLarge, Unreadable, shown_path
from edged.config.gateway import EdgedFile, PoolName
from edged.config.metrics import Metrics
from edged.config.problem import Finding, InvalidConfiguration, Problem, Severity
from edged.config.review import review
from edged.config.scalars import Loading
from edged.config.schema import schema
from edged.config.validate import not_a_mapping, validate, word_expected
from edged.configuration import Configuration, PlacedPolicy, site_of
from edged.policies import POLICIES, Caps, Mode, Policy
from edged.sources.hosts import Hosts, parse_hosts
from edged.subscribers import Rows, Subscribers

__all__ = ["Configuration", "InvalidConfiguration", "PlacedPolicy", "Problem", "Severity", "load", "schema"]

_MOST_TOLD = 1_000  # mistakes of one list of hosts


def load(path: Path, *, now: datetime, files: Files | None = None) -> Configuration:
    """Read edged.yaml and all it names, from the disk where no other files are given; `now` (aware) bounds the dates in it.

    Raises InvalidConfiguration, with every problem of every file; whatever the files hold, it raises nothing else.
    """
    return _Load(path, now, files or DiskFiles()).configuration()


class _Load:
    """One run over the files; problems gather as they are met."""

    def __init__(self, path: Path, now: datetime, files: Files) -> None:
        self.path = path.absolute()
        self.loading = Loading(self.path.parent, now)
        self.problems: list[Problem] = []
        self.files = files
        self.sources: dict[Path, bytes] = {}
        self.order: dict[str, int] = {}
        self.streaming_hosts = Hosts()

    def configuration(self) -> Configuration:
        """Everything, or InvalidConfiguration."""
        document = self.read(self.path)
        if document is None:
            raise self.invalid()
        edged, found = validate(EdgedFile, document, self.loading)
        self.add(found)
        policies = self.policies(self.rule_files(document, edged))
        table = edged.subscribers if edged is not None else self.file_named(document, "subscribers")
        rows = self.subscriber_rows(table, document, policies)
        if edged is not None:
            self.review(document, edged, policies)
            self.review_rows(rows, edged, document)
            self.review_credentials(edged.metrics, document)
        if edged is None or any(problem.severity is Severity.ERROR for problem in self.problems):
            raise self.invalid()
        lengths = {Family.IPV4: edged.subscriber_prefix.ipv4, Family.IPV6: edged.subscriber_prefix.ipv6}
        subscribers = Subscribers(rows, lengths)
        hosts = self.streaming_hosts
        return Configuration(self.path, edged, document, policies, self.ordered(), self.sources, subscribers, hosts)

    def review(self, document: Document, edged: EdgedFile, policies: Iterable[PlacedPolicy]) -> None:
        """Note what only shows across keys and files."""
        self.add(document.problem(finding) for finding in review(edged))
        site, now = site_of(edged, document), int(self.loading.now.timestamp())
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

    def file_named(self, document: Document, key: str) -> Path | None:
        """The file that stands at that key of a document which is wrong elsewhere; its mistakes are told with the others."""
        named = document.data.get(key) if isinstance(document.data, dict) else None
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
        self.tell_of_others(name, parsing.untold)
        return parsing.rows or Rows()

    def tell_of_others(self, name: str, untold: int) -> None:
        """Note, behind the last mistake of a file, that it has so many more."""
        if untold:
            last = self.problems[-1]
            self.problems.append(Problem(name, last.line, last.column, "", f"and {untold} more mistakes in this file"))

    def review_rows(self, rows: Rows, edged: EdgedFile, document: Document) -> None:
        """Warn of prefixes that no policy will ever see a packet of."""
        site = site_of(edged, document)
        outside = sorted(place for family in Family for place in rows.outside(family, site.addresses(PoolName, family)))
        if outside and edged.subscribers is not None:
            more = f", nor are {len(outside) - 1} others" if len(outside) > 1 else ""
            message = f"{rows.prefix(outside[0])} is in no pool{more}; no policy takes its addresses for a subscriber's"
            line = rows.row_with(outside[0]).line
            name = self.name(edged.subscribers)
            self.problems.append(Problem(name, line, 1, "prefixes", message, Severity.WARNING))

    def review_credentials(self, metrics: Metrics, document: Document) -> None:
        """Note what is wrong with the metrics page's certificates and passwords, of which a stored configuration has none."""
        if not self.files.has_secrets() or (metrics.tls is None and metrics.basic_auth_users_file is None):
            return
        from edged.credentials.review import review as review_credentials  # noqa: PLC0415  OpenSSL, for those who use it

        if metrics.basic_auth_users_file is not None:
            self.name(metrics.basic_auth_users_file)
        self.add(review_credentials(metrics, document, self.path.parent, self.loading.now))

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
            if policy is Caps:
                self.read_hosts(document, settings)
            if settings is not None:
                placed[policy] = PlacedPolicy(settings, document, path)
        return tuple(placed[policy] for policy in POLICIES if policy in placed)

    def read_hosts(self, document: Document, settings: Policy | None) -> None:
        """Take the names of streaming services from the file that caps name, its mistakes noted."""
        key = "streaming_hosts"
        path = settings.streaming_hosts if isinstance(settings, Caps) else self.file_named(document, key)
        if path is None:
            return
        name = self.name(path)
        try:
            raw = self.files.read(path)
        except Unreadable as error:
            self.add((document.problem(Finding((key,), f"{name} {error}")),))
            return
        self.sources[path] = raw
        parsed = parse_hosts(raw)
        told = parsed.bad[:_MOST_TOLD]
        self.problems += (Problem(name, each.line, each.column, "", each.message) for each in told)
        self.tell_of_others(name, len(parsed.bad) - len(told))
        self.streaming_hosts = parsed.hosts

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
