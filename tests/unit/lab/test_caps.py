"""Two transfers side by side prove a cap only if one is held to it, the other is not, and the counts say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.addresses import Family
from edged.lab.caps import HELD, CappedBytes, CapResult, Held, NotMeasured, Transfers, cap_in_force, is_slow, judge_caps
from edged.lab.document import as_document
from edged.lab.example import shipped_example, write_configuration
from edged.lab.topology import Topology
from edged.lab.torrent import bencode
from edged.ruleset.nodes import Direction

ALLOWED = 2_000_000
COUNTED = {HELD: 1_200_000, CappedBytes("p2p", Direction.UP): 40_000}
BULK = CappedBytes("bulk", Direction.DOWN)


@pytest.mark.parametrize(
    ("torrent", "download", "counted", "wrong"),
    [
        (1_900_000.0, 800e6, COUNTED, None),
        (1_700_000.0, 17e6, COUNTED, None),
        (2_100_000.0, 21e6, COUNTED, None),
        (1_690_000.0, 800e6, COUNTED, "a torrent between 85% and 105% of its cap"),
        (2_110_000.0, 800e6, COUNTED, "a torrent between 85% and 105% of its cap"),
        (1_900_000.0, 18e6, COUNTED, "a download 10 times as fast"),
        (1_900_000.0, 800e6, {}, "caps p2p down counts the 950000 bytes that the torrent moved"),
        (1_900_000.0, 800e6, {HELD: 949_999}, "caps p2p down counts the 950000 bytes that the torrent moved"),
        (1_900_000.0, 800e6, COUNTED | {BULK: 5}, "no other class held, and not caps bulk down +5"),
    ],
)
def test_judgement(torrent: float, download: float, counted: dict[CappedBytes, int], wrong: str | None) -> None:
    held = Held(ALLOWED, Transfers(torrent, download, 950_000), counted)
    assert judge_caps(held) == (wrong and f"expected: {wrong}; seen: {held}")


@pytest.mark.parametrize(("torrent", "slow"), [(1_690_000.0, True), (1_700_000.0, False), (2_110_000.0, False)])
def test_only_who_is_too_slow_is_measured_once_more(torrent: float, *, slow: bool) -> None:
    assert is_slow(Held(ALLOWED, Transfers(torrent, 800e6, 950_000), COUNTED)) is slow


def test_all_that_is_wrong_is_told_at_once() -> None:
    held = Held(ALLOWED, Transfers(50e6, 50e6, 9_000_000), {})
    told = judge_caps(held)
    assert told is not None
    assert told.count(";") == 5, told
    assert told.endswith("seen: torrent 50.0 Mbit/s of 2 allowed; download beside it 50 Mbit/s; caps p2p down +0 bytes")


def test_the_document_has_the_rates_in_bits_a_second() -> None:
    held = Held(ALLOWED, Transfers(1_912_345.4, 812e6, 950_000), {HELD: 1_200_000})
    document = as_document(1, [CapResult(Family.IPV4, held), CapResult(Family.IPV6, NotMeasured("so"))], 1.0)
    assert document["right"] is False
    counted = [{"class": "p2p", "direction": "down", "bytes": 1_200_000}]
    seen = {"allowed": 2_000_000, "torrent": 1_912_345, "download": 812_000_000, "counted": counted}
    assert document["caps"] == {
        "ipv4": {"right": True, "wrong": None, "seen": seen},
        "ipv6": {"right": False, "wrong": "so", "seen": None},
    }


def test_the_cap_is_that_of_the_subscribers_plan(tmp_path: Path) -> None:
    host = Topology().dynamic
    configuration = write_configuration(shipped_example(), tmp_path)
    assert cap_in_force(configuration, host, Family.IPV4).down == ALLOWED
    (tmp_path / "subscribers.csv").write_text(f"id,prefixes,plan\nC-1,{host.ipv4},business\n")
    path = tmp_path / "edged.yaml"
    path.write_text(path.read_text().replace(str(configuration.edged.subscribers), "subscribers.csv"))
    (tmp_path / "other").mkdir()
    planned = write_configuration(path, tmp_path / "other")
    assert cap_in_force(planned, host, Family.IPV4).down == 50_000_000
    assert cap_in_force(planned, host, Family.IPV6).down == ALLOWED


def test_bencoding_is_that_of_bep_3() -> None:
    assert bencode({b"spam": b"eggs", b"cow": -3, b"a": {b"": 0}}) == b"d1:ad0:i0ee3:cowi-3e4:spam4:eggse"
