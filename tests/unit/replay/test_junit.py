"""JUnit XML: what CI systems read, well-formed whatever the texts are."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.origin import Origin
from edged.replay.expect import Expectations, Result
from edged.replay.expect_file import read_expectations
from edged.replay.junit import junit
from tests.unit.replay.judging import NAMES, judged, rejected

FILE = """\
- {filter: tcp.dport == 25 and src in dynamic, verdict: reject, count: 1}
- {filter: "len < 100", verdict: reject, count: 2, name: "small & <refused>"}
"""


def results() -> tuple[Result, ...]:
    expectations = Expectations(read_expectations("cases/expect.yaml", FILE.encode(), NAMES))
    for each in (rejected(), judged()):
        expectations.feed(each)
    return expectations.results()


def test_a_suite_of_the_captures_and_a_case_an_expectation() -> None:
    assert (
        junit(("a.pcap", "b.pcap"), results(), 1.5).decode()
        == """\
<?xml version='1.0' encoding='utf-8'?>
<testsuites tests="2" failures="1" errors="0" skipped="0" time="1.500">
  <testsuite name="edged replay a.pcap, b.pcap" tests="2" failures="1" errors="0" skipped="0" time="1.500">
    <testcase classname="cases/expect.yaml" name="tcp.dport == 25 and src in dynamic: 1 reject" \
file="cases/expect.yaml" line="1" />
    <testcase classname="cases/expect.yaml" name="small &amp; &lt;refused&gt;" file="cases/expect.yaml" line="2">
      <failure type="expectation" message="wanted 2 reject, got 1; len &lt; 100 matches 2: 1 accept, \
1 reject by op25b (rules.d/20-op25b.yaml:4)">cases/expect.yaml:2: small &amp; &lt;refused&gt;: wanted 2 reject, got 1; \
len &lt; 100 matches 2: 1 accept, 1 reject by op25b (rules.d/20-op25b.yaml:4)</failure>
    </testcase>
  </testsuite>
</testsuites>
"""
    )


def test_without_a_time_two_runs_are_equal() -> None:
    assert junit(("a.pcap",), results()) == junit(("a.pcap",), results())
    assert b"time" not in junit(("a.pcap",), results())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a\x00b\x1b[2J", "a\\u0000b\\u001b[2J"),
        ("\ud800\udfff", "\\ud800\\udfff"),
        ("\ufffe\uffff", "\\ufffe\\uffff"),
        ("a\rb", "a\\u000db"),
        ("a\tb\nc", "a\tb\nc"),
        ("日本 <&> \"'", "日本 <&> \"'"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_what_xml_cannot_hold_is_escaped(text: str, read: str) -> None:
    assert names(text)[2] == read


@given(st.text(st.characters()) | st.text(st.sampled_from("\x00\r\n\t\ud800]]>&<\"'\ufffe")))
def test_any_text_makes_valid_xml(text: str) -> None:
    suite, file, name, message = names(text)
    assert "\r" not in suite + file + name + message
    assert (file, name) == (suite.removeprefix("edged replay "), file)


def names(text: str) -> tuple[str, str, str, str]:
    """The names and the failure's text, as a parser reads them, of a document in which everything is called by a text."""
    missed = results()[1]
    called = replace(missed.expectation, name=text or "-", filter_text=text, place=Origin(text or "-", 1))
    root = ET.fromstring(junit((text or "-",), (replace(missed, expectation=called),)))
    suite, case, failure = root.find("testsuite"), root.find(".//testcase"), root.find(".//failure")
    assert suite is not None
    assert case is not None
    assert failure is not None
    return suite.attrib["name"], case.attrib["file"], case.attrib["name"], failure.text or ""
