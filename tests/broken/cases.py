"""Broken and odd configurations: one text file a case, with the configuration's files and the exact lines it is answered with.

    What is wrong, in a sentence.
    -- rules.d/20-op25b.yaml --
    policy: op25b
    action: rejct
    -- expected --
    rules.d/20-op25b.yaml:2:9: action: expected 'reject' or 'drop', got 'rejct' (did you mean 'reject'?)

A case that does not bring an edged.yaml gets GOOD, one without a rules.d gets GOOD_POLICY in it. `-- name (bytes) --` has
Python's escapes (\\x00) in it, and `-- name/ --` is an empty folder. Every broken case is an error in the end, so none may
change anything anywhere; the odd ones beside them are good, and all that is said of them is a warning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

BROKEN = Path(__file__).parent / "cases"
ODD = Path(__file__).parent / "odd"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

GOOD = """\
gateway: {name: gw1, access: [lan0], upstream: [wan0]}
pools:
  dynamic: [203.0.113.0/25, "2001:db8:d::/48"]
  static: [198.51.100.0/24]
"""

GOOD_POLICY = "policy: op25b\n"

_HEADER = re.compile(r"^-- (?P<name>[^\n]+?)(?P<bytes> \(bytes\))? --\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Case:
    """One configuration."""

    source: Path
    about: str
    files: dict[str, bytes]
    folders: tuple[str, ...]
    expected: tuple[str, ...]

    @property
    def name(self) -> str:
        """What tests call the case."""
        return self.source.stem

    def write(self, folder: Path) -> Path:
        """Write the files into a folder; the path of the edged.yaml to load."""
        for name in self.folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder / "edged.yaml"

    def update(self, lines: tuple[str, ...]) -> None:
        """Write other expected lines into the case's file."""
        before = self.source.read_text().partition("-- expected --\n")[0]
        self.source.write_text("".join((before, "-- expected --\n", *(f"{line}\n" for line in lines))))


def broken_cases() -> tuple[Case, ...]:
    """Configurations that are refused, by name."""
    return tuple(read_case(path) for path in sorted(BROKEN.glob("*.txt")))


def odd_cases() -> tuple[Case, ...]:
    """Configurations that are used, mostly with a warning, by name."""
    return tuple(read_case(path) for path in sorted(ODD.glob("*.txt")))


def read_case(path: Path) -> Case:
    """The case in that file."""
    text = path.read_text()
    headers = [*_HEADER.finditer(text)]
    files: dict[str, bytes] = {}
    folders: list[str] = []
    expected: tuple[str, ...] = ()
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        body = text[header.end() : following.start() if following else len(text)]
        name = header["name"]
        if name == "expected":
            expected = tuple(body.splitlines())
        elif name.endswith("/"):
            folders.append(name.rstrip("/"))
        elif header["bytes"]:
            files[name] = body.removesuffix("\n").encode().decode("unicode_escape").encode("latin-1")
        else:
            files[name] = body.encode()
    if "edged.yaml" not in files and "edged.yaml" not in folders:
        files["edged.yaml"] = GOOD.encode()
    if not any(name.split("/")[0] == "rules.d" for name in (*files, *folders)):
        files["rules.d/20-op25b.yaml"] = GOOD_POLICY.encode()
    return Case(path, text[: headers[0].start()].strip(), files, tuple(folders), expected)
