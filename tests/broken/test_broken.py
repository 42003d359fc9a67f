"""Every broken configuration is refused with exactly these lines; every odd one is used, with exactly these warnings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.loader import InvalidConfiguration, Severity, load
from tests.broken.cases import GOOD, GOOD_POLICY, NOW, Case, broken_cases, odd_cases
from tests.promises import Measured

pytestmark = pytest.mark.promise(7)

BROKEN = broken_cases()
ODD = odd_cases()
LINE = re.compile(r"(?P<file>[^:]+):(?P<line>[1-9]\d*):(?P<column>[1-9]\d*): \S.*")


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_broken_configuration_is_refused_with_its_places(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = case.write(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InvalidConfiguration) as raised:
        load(path, now=NOW)
    lines = tuple(str(raised.value).splitlines())
    compare(case, lines, request)
    assert all(LINE.fullmatch(line) for line in lines)
    assert any(problem.severity is Severity.ERROR for problem in raised.value.problems)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("case", ODD, ids=lambda case: case.name)
def test_odd_configuration_is_used_with_its_warnings(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    configuration = load(case.write(tmp_path), now=NOW)
    assert all(problem.severity is Severity.WARNING for problem in configuration.warnings)
    compare(case, tuple(str(problem) for problem in configuration.warnings), request)
    assert configuration.table(int(NOW.timestamp()))


def test_cases_are_many_and_say_what_they_are_about(measured: Measured) -> None:
    assert len(BROKEN) >= 180
    measured(f"{len(BROKEN)} malformed configurations refused, each at its exact places")
    assert len({case.about for case in (*BROKEN, *ODD)}) == len(BROKEN) + len(ODD)
    assert all(case.expected for case in BROKEN)


def test_the_files_that_cases_do_not_bring_are_good(tmp_path: Path) -> None:
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "rules.d/20-op25b.yaml").write_text(GOOD_POLICY)
    (tmp_path / "edged.yaml").write_text(GOOD)
    assert load(tmp_path / "edged.yaml", now=NOW).warnings == ()


def compare(case: Case, lines: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    """What was said is what is expected, or becomes it with --update-golden."""
    if request.config.getoption("--update-golden"):
        case.update(lines)
    else:
        assert lines == case.expected


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Every path below a folder with what it holds."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}
