"""All peer-to-peer detectors: each knows its protocol, none takes another for it, and each answers whatever comes, in time."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.inspect.sight import Detector, Sight, TrafficClass
from edged.ruleset.nodes import Transport
from tests.unit.inspect.detectors.p2p_flows import (
    CLIENT,
    DETECTORS,
    KNOWN,
    OVER_TCP,
    OVER_UDP,
    SERVER,
    SIX,
    Known,
    answered,
    asked,
    found,
)

LONGEST = 16_384


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_what_a_protocol_says_is_recognised_as_that_protocol_alone(known: Known) -> None:
    said = found(known.transport, known.sight)
    assert [each.protocol for each in said] == [known.protocol]
    assert said[0].traffic_class is TrafficClass.P2P


def test_every_detector_has_a_protocol_that_it_is_shown() -> None:
    shown = {(known.protocol, known.transport) for known in KNOWN}
    assert {(each.protocol, each.transport) for each in DETECTORS} <= shown


@pytest.mark.parametrize("name", OVER_UDP)
@pytest.mark.parametrize("before", OVER_UDP)
def test_what_others_say_over_udp_is_not_taken_for_it(name: str, before: str) -> None:
    assert found(Transport.UDP, asked(OVER_UDP[name])) == []
    assert found(Transport.UDP, answered(OVER_UDP[name], OVER_UDP[before])) == []


@pytest.mark.parametrize("name", OVER_TCP)
@pytest.mark.parametrize("before", OVER_TCP)
def test_what_others_say_over_tcp_is_not_taken_for_it(name: str, before: str) -> None:
    assert found(Transport.TCP, asked(OVER_TCP[name])) == []
    assert found(Transport.TCP, answered(OVER_TCP[name], OVER_TCP[before])) == []


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_a_sign_over_the_wrong_transport_or_late_in_a_stream_is_none(known: Known) -> None:
    wrong = Transport.UDP if known.transport is Transport.TCP else Transport.TCP
    assert found(wrong, known.sight) == []
    if known.transport is Transport.TCP:
        assert found(known.transport, known.sight._replace(payload=b"\x7f\0\0more" + known.sight.payload)) == []


def test_chance_is_not_taken_for_any_protocol() -> None:
    chance = random.Random(20)
    for _ in range(20_000):
        detector = chance.choice(DETECTORS)
        first = bytes((chance.choice(detector.first_bytes or bytes(range(256))),))
        other = first + chance.randbytes(chance.choice((1, 15, 19, 24, 97)))
        assert detector.detect(asked(first + chance.randbytes(chance.choice((1, 5, 19, 22, 35, 97, 200))), other)) is None


def test_first_bytes_are_those_that_a_detector_answers_to() -> None:
    for known in KNOWN:
        for detector in DETECTORS:
            if detector.transport is known.transport and detector.detect(known.sight) is not None:
                assert not detector.first_bytes or known.sight.payload[0] in detector.first_bytes


BYTES = st.binary(max_size=1500)


def sight(payload: bytes, other: bytes, *, six: bool, from_client: bool) -> Sight:
    ends = (SIX, SIX) if six else (CLIENT, SERVER)
    return Sight(payload, other, 0, 1, from_client, True, *ends)


@given(st.sampled_from(DETECTORS), BYTES, BYTES, st.booleans(), st.booleans())
def test_whatever_bytes_come_no_detector_raises(
    detector: Detector, payload: bytes, other: bytes, six: bool, from_client: bool
) -> None:
    said = detector.detect(sight(detector.first_bytes[:1] + payload, other, six=six, from_client=from_client))
    assert said is None or said.traffic_class is TrafficClass.P2P


@given(st.sampled_from(KNOWN), st.data())
def test_cut_and_flipped_messages_raise_nothing(known: Known, data: st.DataObject) -> None:
    payload, other = bytearray(known.sight.payload), bytearray(known.sight.other)
    for damaged in (payload, other):
        for at in data.draw(st.lists(st.integers(0, max(0, len(damaged) * 8 - 1)), max_size=4)):
            if damaged:
                damaged[at // 8] ^= 1 << at % 8
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    shown = sight(bytes(payload), bytes(other), six=data.draw(st.booleans()), from_client=True)
    for detector in DETECTORS:
        said = detector.detect(shown)
        assert said is None or said.traffic_class is TrafficClass.P2P


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda each: f"{each.protocol}-{each.transport.name}")
def test_the_longest_payload_takes_a_bounded_time(detector: Detector) -> None:
    fillings = (b"\0", b"\xc3", b"?info_hash=", b"d1:", b"6:peers", b"\x81", b"6:abcdef", b"\r\nX-", b"A" * 20, b"\x78\x9c")
    starts = (b"", *(known.sight.payload for known in KNOWN if known.transport is detector.transport))
    slowest = 0.0
    for start in starts:
        for filling in fillings:
            payload = (start + filling * LONGEST)[:LONGEST]
            shown = sight(payload, payload, six=False, from_client=True)
            began = time.process_time()
            detector.detect(shown)
            slowest = max(slowest, time.process_time() - began)
    assert slowest < 0.05
