"""The table of promises says what the harnesses found, and no more than that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.promises import FIGURE, NUMBER, PROMISES, Outcome, Promise, outcomes, read, table, write


def report(promise: int, outcome: str, *figures: str, when: str = "call") -> pytest.TestReport:
    properties: list[tuple[str, object]] = [(NUMBER, promise), *((FIGURE, figure) for figure in figures)]
    return pytest.TestReport("a test", ("a file", 1, "a test"), {}, outcome, None, when, user_properties=properties)  # type: ignore[arg-type]


def test_a_promise_is_held_where_all_of_its_harnesses_passed() -> None:
    found = outcomes([report(2, "passed", "0 of 8001 leaked"), report(2, "passed", "200 points"), report(3, "passed")])
    lines = list(table(found))
    assert lines[:4] == [
        f" 2  {PROMISES[2].title}: held",
        f"      target    {PROMISES[2].target}",
        "      measured  0 of 8001 leaked",
        "                200 points",
    ]
    assert lines[4] == f" 3  {PROMISES[3].title}: held"


@pytest.mark.parametrize(("outcome", "when"), [("failed", "call"), ("failed", "setup"), ("failed", "teardown")])
def test_one_that_failed_anywhere_is_not_held(outcome: str, when: str) -> None:
    assert next(table(outcomes([report(2, "passed"), report(2, outcome, when=when)]))).endswith(": NOT HELD")


def test_what_was_skipped_is_not_called_held() -> None:
    (line, *_) = table(outcomes([report(2, "passed"), report(2, "skipped", when="setup")]))
    assert "not measured in full" in line


def test_promises_without_a_harness_are_named() -> None:
    *_, last = table(Outcome(number, "passed") for number in PROMISES if number != 9)
    assert last == "no harness ran of: 9"


def test_a_later_run_tells_what_an_earlier_one_kept(tmp_path: Path) -> None:
    found = [Outcome(2, "passed", ("0 of 8001 leaked",)), Outcome(3, "failed")]
    assert list(read(tmp_path / "kept")) == []
    write(tmp_path / "kept", found)
    assert list(read(tmp_path / "kept")) == found


def test_a_run_without_harnesses_has_no_table() -> None:
    assert list(table([])) == []


def test_the_readmes_page_has_each_promise_with_its_target_and_a_figure() -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text().partition("\n## Promises\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+) \|$", page, re.MULTILINE)
    assert {int(number): Promise(title, target) for number, title, target, _ in rows} == PROMISES
