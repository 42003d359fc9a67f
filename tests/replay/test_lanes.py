"""Lanes over every capture there is: they change no count and leave nothing else behind, and they carry much of the packets."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.lists.offline import in_force
from edged.loader import load
from edged.replay.readers import CaptureUnreadable
from tests.replay.test_cases import CASES, capture_of, policy_of
from tests.unit.replay.laned import BothWays

CORPUS = Path(os.environ.get("EDGED_CORPUS") or Path(__file__).parents[3] / "shared/corpus")
POLICY = Path(__file__).parents[2] / "rules/edged.yaml"

classes = pytest.mark.parametrize("with_classes", [True, False], ids=["classes", "no classes"])


def by_policy(path: Path) -> BothWays:
    return BothWays(in_force(load(path, now=datetime.now(UTC))))


@classes
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_told_the_same(case: Path, with_classes: bool) -> None:
    try:
        by_lanes, slowly = by_policy(policy_of(case)).told(capture_of(case), classes=with_classes)
    except CaptureUnreadable:
        assert case.name == "file_empty"
        return
    assert by_lanes.document == slowly.document
    assert by_lanes.left == slowly.left


@classes
def test_the_corpus_is_told_the_same_and_much_of_it_by_lanes(with_classes: bool) -> None:
    captures = sorted(path for path in (CORPUS / "dev/pcap").glob("*") if path.is_file()) if CORPUS.is_dir() else []
    if not captures:
        pytest.skip(f"no captures in {CORPUS}: set EDGED_CORPUS to their place")
    both_ways = by_policy(POLICY)
    seen = slow = 0
    for path in captures:
        by_lanes, slowly = both_ways.told(path, classes=with_classes)
        assert by_lanes.document == slowly.document, path
        assert by_lanes.left == slowly.left, path
        seen += slowly.slow
        slow += by_lanes.slow
    assert seen > 30_000
    assert 1 - slow / seen > 0.4
