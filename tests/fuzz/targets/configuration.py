"""edged.yaml and a policy, whoever generates them."""

from __future__ import annotations

from pathlib import Path

from edged.config.files import StoredFiles
from edged.config.named import named_socket
from edged.credentials.passwords import parse_users
from edged.loader import InvalidConfiguration, Problem, load
from tests.broken.cases import GOOD, NOW, broken_cases, odd_cases
from tests.fuzz.target import Target

_FOLDER = Path("/etc/edged")
_SPLIT = b"\n-- policy --\n"


def run(data: bytes) -> None:
    """Two files in one text; nothing but InvalidConfiguration is raised, and every problem has its place."""
    edged, _, policy = data.partition(_SPLIT)
    files = {_FOLDER / "edged.yaml": edged or GOOD.encode(), _FOLDER / "rules.d/10.yaml": policy}
    problems: tuple[Problem, ...] = ()
    try:
        load(_FOLDER / "edged.yaml", now=NOW, files=StoredFiles(files))
    except InvalidConfiguration as wrong:
        problems = wrong.problems
    assert all(each.line >= 1 and each.column >= 1 and str(each).isprintable() for each in problems)
    named_socket(data)
    parse_users(data)


def _seeds() -> tuple[bytes, ...]:
    made = []
    for case in (*broken_cases(), *odd_cases()):
        policies = [content for name, content in case.files.items() if name.startswith("rules.d/")]
        made.append(case.files.get("edged.yaml", b"") + _SPLIT + (policies[0] if policies else b""))
    return tuple(made)


TARGET = Target(11, run, _seeds())
