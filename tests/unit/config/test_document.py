"""YAML to data with places: few scalar rules of our own, and limits that hold in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from edged.config.document import MOST_ALIASED, MOST_VALUES, Document, read_document
from edged.config.problem import Finding, dotted, shown
from edged.origin import Origin


def document(text: str) -> Document:
    reading = read_document("file.yaml", text.encode())
    assert reading.problems == ()
    assert reading.document is not None
    return reading.document


def refused(text: str | bytes) -> str:
    reading = read_document("file.yaml", text.encode() if isinstance(text, str) else text)
    assert reading.document is None
    return str(reading.problems[-1])


@pytest.mark.parametrize(
    ("written", "data"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("9825", 9825),
        ("0x00ffff00", 0x00FFFF00),
        # what YAML 1.1 makes something else of
        ("off", "off"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("True", "True"),
        ("~", "~"),
        ("22:22", "22:22"),
        ("12:30:45", "12:30:45"),
        ("010", "010"),
        ("0b11", "0b11"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("1.10", "1.10"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("+1", "+1"),
        ("2027-03-31", "2027-03-31"),
        ("2027-03-31T18:00:00+09:00", "2027-03-31T18:00:00+09:00"),
        ("=", "="),
        ("9" * 5000, "9" * 5000),  # int() refuses so many digits
        # what is quoted is text
        ("'true'", "true"),
        ('"7"', "7"),
        ("|\n  7\n", "7\n"),
    ],
)
def test_scalars(written: str, data: object) -> None:
    found = document(f"key: {written}\n").data
    assert isinstance(found, dict)
    assert found == {"key": data}
    assert type(found["key"]) is type(data)  # True == 1


def test_keys_are_text() -> None:
    assert document("off: 1\n7: 2\ntrue: 3\n").data == {"off": 1, "7": 2, "true": 3}


def test_places_are_those_of_keys_and_items() -> None:
    found = document("# a comment\npolicy: op25b\nexempt:\n  subscribers:\n    - {prefix: x,\n       until: y}\n")
    assert found.at("policy") == Origin("file.yaml", 2)
    assert found.at("exempt", "subscribers") == Origin("file.yaml", 4)
    assert found.at("exempt", "subscribers", 0) == Origin("file.yaml", 5)
    assert found.at("exempt", "subscribers", 0, "until") == Origin("file.yaml", 6)


def test_a_place_that_the_file_does_not_have_is_the_nearest_around_it() -> None:
    found = document("# a comment\nmode: enforce\npolicy: op25b\nexempt:\n  destinations: []\n")
    assert found.at("exempt", "subscribers", 3, "until") == Origin("file.yaml", 4)
    assert found.at("action") == found.at("policy") == found.at() == Origin("file.yaml", 3)


def test_a_finding_stands_at_the_value() -> None:
    problem = document("a:\n  b: [1, 2]\n").problem(Finding(("a", "b", 1), "is 2; the other is", other=("a", "b", 0)))
    assert str(problem) == "file.yaml:2:10: a.b[1]: is 2; the other is at 2:7"


def test_an_alias_stands_for_its_value() -> None:
    found = document("a: &x [1, {b: 2}]\nc: *x\nd: *x\n")
    assert found.data == {"a": [1, {"b": 2}], "c": [1, {"b": 2}], "d": [1, {"b": 2}]}
    assert found.at("c", 1, "b") == Origin("file.yaml", 2)


def test_the_values_that_aliases_stand_for_are_counted() -> None:
    size = 100
    anchor = f"a: &x [{', '.join('1' * (size - 1))}]\n"
    within = MOST_ALIASED // size
    document(anchor + "b: [" + "*x, " * within + "]\n")
    assert "aliases stand for more than" in refused(anchor + "b: [" + "*x, " * (within + 1) + "]\n")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 16)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: " + "[" * 1_000_000,
        "a: " + "{a: " * 1_000_000,
        "- " * 1_000_000,
        "? " * 1_000_000,
        "a: [" + "1, " * 1_000_000 + "]",
        "a: &a [*a, *a, *a]",
        "".join(f"a{number}: &a{number} 1\n" for number in range(MOST_VALUES + 1)),
        "a: '" + "x" * 4_000_000,
        "a: " + "!" * 4_000_000,
        "\ta: 1\n" * 500_000,
    ],
    ids=["aliases", "lists", "mappings", "items", "keys", "values", "itself", "anchors", "quote", "tag", "tabs"],
)
def test_bombs_are_refused_fast(text: str) -> None:
    raw = text.encode()
    began = time.monotonic()
    assert read_document("file.yaml", raw).problems
    # generous for slow machines: an expanded bomb would take hours, and what is quadratic minutes
    assert time.monotonic() - began < 10


def test_an_anchor_bomb_is_refused_in_bounded_memory() -> None:
    tracemalloc.start()
    try:
        reading = read_document("file.yaml", BOMB.encode())
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert str(reading.problems[-1]).endswith(f"aliases stand for more than {MOST_ALIASED} values; write them out")


def test_every_wrong_key_of_a_file_is_reported() -> None:
    reading = read_document("file.yaml", b"a: 1\na: !x 2\n<<: {c: 4}\nb: [!y {d: 5, d: 6}]\n")
    assert reading.document is not None
    assert reading.document.data == {"a": 1, "b": [{"d": 5}]}
    assert [(each.line, each.column) for each in reading.problems] == [(2, 1), (2, 4), (3, 1), (4, 5), (4, 15)]


def test_values_set_aside_leave_no_places() -> None:
    reading = read_document("file.yaml", b"a: {b: 1}\nc: 2\na: {b: 3, d: 4}\n")
    assert reading.document is not None
    assert reading.document.at("a", "b") == Origin("file.yaml", 1)
    assert reading.document.at("a", "d") == Origin("file.yaml", 1)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("exempt", "subscribers", 0, "until"), "exempt.subscribers[0].until"),
        (("never_block", 12), "never_block[12]"),
        (("a b",), "'a b'"),
        (("a", "x\ny"), "a.'x\\ny'"),
        (("x" * 100,), "'" + "x" * 57 + "...'"),
    ],
)
def test_paths_are_on_one_line(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        (7, "7"),
        ("a\u202eb\x1b[31m", "'a\\u202eb\\x1b[31m'"),
        ("x" * 61, "'" + "x" * 57 + "...'"),
        ([], "an empty list"),
        ([1], "a list"),
        ({}, "a mapping"),
    ],
)
def test_values_are_shown_short_and_harmless(value: object, text: str) -> None:
    assert shown(value) == text
