"""Expectations as JUnit XML, which CI systems show: a test suite of the captures, a test case an expectation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from edged.replay.expect import Result

# https://www.w3.org/TR/xml/#charsets, and CR, which a parser would take for a line feed
_NO_XML = re.compile("[^\x09\x0a\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(captures: Sequence[str], results: Sequence[Result], seconds: float | None = None) -> bytes:
    """The XML document, in UTF-8; what XML cannot hold is written as a backslash, u and its number."""
    missed = sum(not result.held for result in results)
    numbers = {"tests": str(len(results)), "failures": str(missed), "errors": "0", "skipped": "0"}
    if seconds is not None:
        numbers["time"] = f"{seconds:.3f}"
    root = ET.Element("testsuites", numbers)
    suite = ET.SubElement(root, "testsuite", {"name": _text(f"edged replay {', '.join(captures)}"), **numbers})
    for result in results:
        _add_case(suite, result)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_case(suite: ET.Element, result: Result) -> None:
    place = result.expectation.place
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": _text(place.file),
            "name": _text(result.expectation.title),
            "file": _text(place.file),
            "line": str(place.line),
        },
    )
    if not result.held:
        failure = ET.SubElement(case, "failure", {"type": "expectation", "message": _text(result.told)})
        failure.text = _text(str(result))


def _text(text: str) -> str:
    return _NO_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
