"""The name in the opening of Google's QUIC before TLS."""

from __future__ import annotations

import pytest

from edged.inspect.names.answers import NEED_MORE, Hello
from edged.inspect.names.quic import NOT_QUIC, InitialHello, may_be_opening
from tests.unit.inspect.names.initials import chlo, google, stream_frame

PAD = (b"PAD\0", b"-" * 900)
SNI = (b"SNI\0", b"www.Example.com")
VERSION = (b"VER\0", b"Q043")
MESSAGE = chlo(PAD, SNI, VERSION)
FOUND = Hello("www.example.com", has_ech=False)


@pytest.mark.parametrize("version", [b"Q024", b"Q033", b"Q034", b"Q038", b"Q039", b"Q043"])
@pytest.mark.parametrize("flags", [0x09, 0x0D, 0x19, 0x29, 0x39])
def test_the_versions_that_send_the_name_in_clear(version: bytes, flags: int) -> None:
    assert InitialHello().take(google(MESSAGE, version, flags)) == FOUND


@pytest.mark.parametrize("version", [b"Q023", b"Q040", b"Q046", b"Q050", b"T051"])
def test_other_versions_are_refused(version: bytes) -> None:
    assert not may_be_opening(google(MESSAGE, version))
    assert InitialHello().take(google(MESSAGE, version)) == NOT_QUIC


@pytest.mark.parametrize("flags", [0x08, 0x01, 0x0B, 0x49, 0x89])
def test_other_public_flags_are_refused(flags: int) -> None:
    assert InitialHello().take(google(MESSAGE, flags=flags)) == NOT_QUIC


def test_pings_may_stand_in_front() -> None:
    assert InitialHello().take(google(MESSAGE, before=b"\x07\x07")) == FOUND


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (chlo(VERSION), None),
        (chlo(), None),
        (chlo(SNI, SNI), None),
        (chlo((b"SNI\0", b"a b")), None),
        (chlo(SNI), "www.example.com"),
    ],
)
def test_a_hello_that_names_nobody(message: bytes, name: str | None) -> None:
    assert InitialHello().take(google(message)) == Hello(name, has_ech=False)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"CHL",
        b"SHLO" + MESSAGE[4:],
        MESSAGE[:20],
        MESSAGE[:-1],
        MESSAGE[:12] + b"\xff\xff\xff\xff" + MESSAGE[16:],
        MESSAGE[:20] + b"\0\0\0\0" + MESSAGE[24:],
        b"CHLO\x81\0\0\0" + bytes(2000),
    ],
)
def test_a_message_that_is_not_sound_gives_no_name(message: bytes) -> None:
    assert InitialHello().take(google(message)) == NEED_MORE


@pytest.mark.parametrize(
    "before",
    [b"\0", b"\x40", stream_frame(MESSAGE, stream=3), stream_frame(MESSAGE, offset=b"\0\1"), b"\xa0"],
)
def test_behind_another_frame_nothing_is_read(before: bytes) -> None:
    assert InitialHello().take(google(MESSAGE, before=before)) == NEED_MORE


def test_an_offset_of_nothing_is_the_beginning() -> None:
    packet = google(b"")
    at = packet.index(stream_frame(b""))
    assert InitialHello().take(packet[:at] + stream_frame(MESSAGE, offset=b"\0\0")) == FOUND


def test_a_frame_without_a_length_goes_to_the_end() -> None:
    packet = google(b"")
    at = packet.index(stream_frame(b""))
    assert InitialHello().take(packet[:at] + b"\x80\1" + MESSAGE) == FOUND


def test_a_packet_that_was_cut_gives_no_name() -> None:
    packet = google(MESSAGE)[:-100]
    assert {InitialHello().take(packet[:length]) for length in range(14, len(packet))} == {NEED_MORE}
