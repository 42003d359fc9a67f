"""Every broken configuration is refused with exactly these lines, and with nothing but InvalidConfiguration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.loader import InvalidConfiguration, Severity, load
from tests.broken.cases import GOOD, GOOD_POLICY, NOW, BrokenCase, broken_cases

CASES = broken_cases()
LINE = re.compile(r"(?P<file>[^:]+):(?P<line>[1-9]\d*):(?P<column>[1-9]\d*): \S.*")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_broken_configuration_is_refused_with_its_places(
    case: BrokenCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    path = case.write(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InvalidConfiguration) as raised:
        load(path, now=NOW)
    lines = tuple(str(raised.value).replace(str(tmp_path), "/tmp/case").splitlines())
    if request.config.getoption("--update-golden"):
        case.update(lines)
    else:
        assert lines == case.expected
    assert all(LINE.fullmatch(line) for line in lines)
    assert any(problem.severity is Severity.ERROR for problem in raised.value.problems)
    assert contents(tmp_path) == before


def test_cases_are_many_and_say_what_they_are_about() -> None:
    assert len(CASES) >= 70
    assert len({case.about for case in CASES}) == len(CASES)
    assert all(case.expected for case in CASES)


def test_the_files_that_cases_do_not_bring_are_good(tmp_path: Path) -> None:
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "rules.d/20-op25b.yaml").write_text(GOOD_POLICY)
    (tmp_path / "edged.yaml").write_text(GOOD)
    assert load(tmp_path / "edged.yaml", now=NOW).warnings == ()


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Every path below a folder with what it holds."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}
