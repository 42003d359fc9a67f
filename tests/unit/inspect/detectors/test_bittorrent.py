"""BitTorrent's handshake, local discovery and uTP."""

from __future__ import annotations

import pytest

from edged.inspect.sight import Endpoint
from edged.ruleset.nodes import Transport
from tests.unit.inspect.detectors.p2p_flows import (
    CLIENT,
    DTLS,
    HANDSHAKE,
    LSD,
    SERVER,
    STUN,
    STUN_SUCCESS,
    UTP_STATE,
    UTP_SYN,
    UTP_SYN_EXTENDED,
    answered,
    asked,
    found,
)


def test_the_end_that_was_called_is_learnt_from_either_handshake() -> None:
    for sight in (asked(HANDSHAKE), answered(HANDSHAKE, HANDSHAKE)):
        assert [each.peers for each in found(Transport.TCP, sight)] == [(SERVER,)]


def test_a_handshake_is_waited_for_and_not_guessed() -> None:
    assert found(Transport.TCP, asked(HANDSHAKE[:19])) == []
    assert found(Transport.TCP, asked(HANDSHAKE[:20])) != []
    assert found(Transport.TCP, asked(b"\x13BitTorrent Protocol" + HANDSHAKE[20:])) == []


def test_local_discovery_says_where_its_sender_listens() -> None:
    assert found(Transport.UDP, asked(LSD))[0].peers == (Endpoint(is_ipv6=False, address=CLIENT.address, port=51413),)
    assert found(Transport.UDP, asked(LSD.replace(b"51413", b"99999")))[0].peers == ()
    assert found(Transport.UDP, asked(LSD.replace(b"Infohash", b"Nothing"))) == []


@pytest.mark.parametrize("syn", [UTP_SYN, UTP_SYN_EXTENDED])
def test_utp_is_a_syn_that_is_answered(syn: bytes) -> None:
    assert found(Transport.UDP, asked(syn)) == []
    assert found(Transport.UDP, answered(UTP_STATE, syn)) != []


@pytest.mark.parametrize(
    ("state", "syn"),
    [
        (UTP_STATE, b""),
        (UTP_STATE, UTP_STATE),
        (UTP_STATE, UTP_SYN + b"x"),
        (UTP_STATE + b"x", UTP_SYN),
        (UTP_STATE[:19], UTP_SYN),
        (UTP_STATE[:3] + b"\0" + UTP_STATE[4:], UTP_SYN),  # another connection
        (UTP_STATE[:18] + b"\0\2", UTP_SYN),  # acknowledges what was not sent
        (UTP_STATE, UTP_SYN_EXTENDED[:-1]),
        (b"\x21\x07" + UTP_STATE[2:] + b"\0\0", UTP_SYN),  # an extension that nobody sends
        (STUN_SUCCESS, STUN),
        (UTP_STATE, STUN),
        (UTP_STATE, DTLS),
    ],
)
def test_nothing_less_is_utp(state: bytes, syn: bytes) -> None:
    assert found(Transport.UDP, answered(state, syn)) == []
