"""What is encrypted from its first byte: Winny, which says its key, and BitTorrent, which does not."""

from __future__ import annotations

import random

import pytest

from edged.inspect.detectors.mse import may_be_mse
from edged.inspect.detectors.winny import rc4
from edged.ruleset.nodes import Transport
from tests.unit.inspect.detectors.p2p_flows import HTTP, OVER_TCP, TLS, WINNY, WINNY_KEY, answered, asked, found


@pytest.mark.parametrize(
    ("key", "stream"),
    [
        ("0102030405", "b2396305f03dc027ccc3524a0a1118a8"),  # RFC 6229 section 2
        ("01020304050607", "293f02d47f37c9b633f2af5285feb46b"),
        ("0102030405060708090a0b0c0d0e0f10", "9ac7cc9a609d1ef7b2932899cde41b97"),
    ],
)
def test_rc4_is_that_of_the_standard(key: str, stream: str) -> None:
    assert rc4(bytes.fromhex(key), bytes(16)).hex() == stream


def test_winny_is_recognised_when_its_greeting_is_whole_from_either_end() -> None:
    assert found(Transport.TCP, asked(WINNY[:10])) == []
    assert found(Transport.TCP, asked(WINNY[:11])) != []
    assert found(Transport.TCP, asked(WINNY)._replace(fresh=6)) != []
    assert found(Transport.TCP, answered(WINNY, b"\x01")) != []


def test_the_greeting_is_not_tried_again_with_every_packet() -> None:
    assert found(Transport.TCP, asked(WINNY)._replace(fresh=11)) == []


def test_another_greeting_is_not_winny() -> None:
    for greeting in (b"\x01\0\0\0\x62", b"\x02\0\0\0\x61", b"\0\0\0\0\0", b"\x61\0\0\0\x01"):
        assert found(Transport.TCP, asked(b"\x81\x42" + WINNY_KEY + rc4(WINNY_KEY, greeting))) == []


def test_an_encrypted_handshake_is_a_key_and_padding_before_any_answer() -> None:
    chance = random.Random(7)
    for size in (96, 300, 608):
        assert may_be_mse(asked(chance.randbytes(size)))
        assert not may_be_mse(answered(chance.randbytes(size), b"said before"))
    for size in (0, 95, 609):
        assert not may_be_mse(asked(chance.randbytes(size)))


def test_what_has_bytes_of_its_own_is_no_encrypted_handshake() -> None:
    chance = random.Random(8)
    for opening in (TLS[:11] + chance.randbytes(500), HTTP * 4, bytes(200), *OVER_TCP.values()):
        assert not may_be_mse(asked(opening[:600]))
