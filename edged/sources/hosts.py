"""Lists of host names: a suffix a line, comments after `#`; a suffix means itself and every name below it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.sources.showing import shown

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

LONGEST_NAME = 253  # RFC 1035 section 2.3.4, written without the root

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")  # the underscore is no host name's, but some hosts have it
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")


@dataclass(frozen=True, slots=True)
class Hosts:
    """Host names by their suffixes, each in lower case and without a dot at its ends."""

    suffixes: frozenset[str] = frozenset()

    def covers(self, name: str) -> bool:
        """Whether the name, in lower case, is one of the suffixes or below one."""
        suffixes = self.suffixes
        while name not in suffixes:
            dot = name.find(".") + 1
            if not dot:
                return False
            name = name[dot:]
        return True


@dataclass(frozen=True, slots=True)
class BadHost:
    """A line that is no suffix to be used; line and column count from 1."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class ParsedHosts:
    """A list as it stands in its file: what is good of it, and every line that is not, in the file's order."""

    hosts: Hosts
    bad: tuple[BadHost, ...]


def parse_hosts(data: bytes) -> ParsedHosts:
    """The list in a file's bytes; whatever they are, it raises nothing."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        return ParsedHosts(Hosts(), (BadHost(line, column, "expected UTF-8"),))
    public = _public_suffixes(encoded=b"xn--" in data.lower())
    first: dict[str, int] = {}
    bad: list[BadHost] = []
    for number, whole in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        written = whole.partition("#")[0].strip()
        if not written:
            continue
        name = written.lower()
        mistake = _mistake(name) or _too_wide(name, public)
        if not mistake and name in first:
            mistake = f"is on line {first[name]} already"
        if mistake:
            bad.append(BadHost(number, whole.index(written) + 1, f"{shown(written)}: {mistake}"))
        else:
            first[name] = number
    return ParsedHosts(Hosts(frozenset(first)), tuple(bad))


def _public_suffixes(*, encoded: bool) -> PublicSuffixList:
    """The public suffixes, those of the private section too: below `akamaihd.net` is everybody.

    `encoded`: those that are not ASCII by their A-labels too, which takes four times as long.
    """
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415  reading the list takes a good while

    return PublicSuffixList(accept_encoded_idn=encoded)


def _too_wide(name: str, public: PublicSuffixList) -> str:
    return "a public suffix, below which are the names of many; write the service's own domain" if public.is_public(name) else ""


def _mistake(name: str) -> str:
    """What is wrong with a text that should be a suffix; empty where nothing is."""
    if "://" in name or "/" in name:
        return "expected a host name, got a URL"
    if len(name.split()) > 1:
        return "expected one host name a line"
    if name.startswith("*."):
        return f"a suffix covers all names below it; write {shown(name[2:])}"
    if name.startswith(".") or name.endswith("."):
        return f"expected no dot at the ends; write {shown(name.strip('.'))}"
    if _ADDRESS.fullmatch(name):
        return "expected a host name, got an address or a port"
    if not name.isascii():
        return _in_ascii(name)
    if len(name) > LONGEST_NAME:
        return f"longer than {LONGEST_NAME} characters"
    for label in name.split("."):
        if not _LABEL.fullmatch(label):
            return f"expected labels of letters, digits and hyphens, 63 at most, got {shown(label)}"
    return ""


def _in_ascii(name: str) -> str:
    """Packets have the A-label (RFC 5890 section 2.3.2.1), so that is what a list must hold."""
    try:
        return f"expected the ASCII form; write {shown(name.encode('idna').decode())}"
    except UnicodeError:
        return "expected the ASCII form (xn--...)"
