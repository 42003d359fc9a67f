"""Streaming detectors: what each protocol says by its description, what falls short of it, and what others say."""

from __future__ import annotations

import struct
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.inspect.detectors import http_media, icecast, mpegts, rtmp, rtsp, spotify
from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.ruleset.nodes import Transport
from tests.unit.inspect.detectors.p2p_flows import CLIENT, KNOWN, OVER_TCP, OVER_UDP, SERVER, Known

DETECTORS: tuple[Detector, ...] = tuple(
    detector for module in (rtmp, rtsp, mpegts, spotify, icecast, http_media) for detector in module.DETECTORS
)
TCP, UDP = Transport.TCP, Transport.UDP


class Said(NamedTuple):
    """What is said over a transport, what the other end said before, and where this packet's bytes begin."""

    transport: Transport
    payload: bytes
    other: bytes = b""
    fresh: int = 0


def found(said: Said) -> list[Found]:
    sight = Sight(said.payload, said.other, said.fresh, 1, True, True, CLIENT, SERVER)
    asked = [each for each in DETECTORS if each.transport is said.transport and said.payload[0] in each.first_bytes]
    return [answer for each in asked if (answer := each.detect(sight)) is not None]


# Adobe's RTMP 1.0, 5.2: C0, then C1 of time, zeros (players put their version there) and chance
RANDOM = bytes((7 * number + 3) & 0xFF for number in range(1528))
RTMP = b"\3" + struct.pack("!II", 0x00012345, 0) + RANDOM
RTMP_FLASH = b"\3" + bytes.fromhex("00000000 09007c02") + RANDOM
# X.224 in TPKT (RFC 1006), then what fills the client's bytes to the length of C0 and C1
TPKT = bytes.fromhex("03000013 0ee00000 00000001 00080003 000000")
# ISO/IEC 13818-1: sync, PID, continuity with a payload
TS = b"\x47\x40\x11\x15" + bytes(184)
RTP = bytes.fromhex("8021 0001 00000000 deadbeef")
RTP_EXTENDED = bytes.fromhex("9121 0001 00000000 deadbeef 01020304 bede0001 00000000")


def field(number: int, content: bytes | None = None) -> bytes:
    tag = number << 3 | (0 if content is None else 2)
    head = bytes((tag,)) if tag < 128 else bytes((tag & 0x7F | 0x80, tag >> 7))
    return head + (b"\1" if content is None else bytes((len(content),)) + content)


def hello(*fields: bytes) -> bytes:
    body = b"".join(fields)
    return b"\0\4" + struct.pack("!I", 6 + len(body)) + body


SPOTIFY_FIELDS = (
    field(10, b"\x50\x02"),
    field(20),
    field(30),
    field(40),
    field(50, bytes(100)),
    field(60, bytes(16)),
    field(70, b"\x1e"),
)
SPOTIFY = hello(*SPOTIFY_FIELDS)

OK = b"HTTP/1.1 200 OK\r\nServer: s\r\n"


def response(media_type: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\n\r\n".encode() + body


def get(target: str, fields: str = "") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n".encode()


RECOGNISED = {
    "rtmp": [
        Said(TCP, RTMP),
        Said(TCP, RTMP_FLASH),
        Said(TCP, RTMP_FLASH + RANDOM, b"\3"),
        Said(TCP, RTMP + b"and C2"),
        Said(TCP, RTMP_FLASH + RANDOM + bytes(8)),
    ],
    "rtsp": [
        Said(TCP, b"DESCRIBE rtsp://a.example/x RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
        Said(TCP, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
        Said(TCP, b"SETUP rtsps://a.example/" + b"x" * 2000),
        Said(TCP, b"RTSP/2.0 200 OK\r\n"),
        Said(UDP, b"PLAY rtspu://a.example/x RTSP/1.0\r\n"),
    ],
    "mpeg-ts": [Said(UDP, TS * 7), Said(UDP, TS * 2), Said(UDP, RTP + TS * 7), Said(UDP, RTP_EXTENDED + TS * 3)],
    "spotify": [Said(TCP, SPOTIFY), Said(TCP, SPOTIFY + b"next"), Said(TCP, hello(field(10, b""), field(50, bytes(100))))],
    "icecast": [
        Said(TCP, b"ICY 200 OK\r\nicy-metaint: 8192\r\n\r\n"),
        Said(TCP, b"SOURCE /live ICE/1.0\r\nContent-Type: text/plain\r\n\r\n"),
        Said(TCP, get("/live", "Icy-MetaData: 1\r\n")),
        Said(TCP, OK + b"ICY-Name: Radio\r\n\r\n"),
    ],
    "http-media": [
        *(Said(TCP, get(target)) for target in ("/a.m3u8", "/v/1.mpd?x=y", "/v/7.m4s", "/v/init.mp4", "/film.WebM?x")),
        Said(TCP, get("http://a.example/x.isml/Manifest")),
        Said(TCP, get("/x.ism/QualityLevels(100)/Fragments(video=0)")),
        Said(TCP, get("/") + get("/a.m3u8"), b"", len(get("/"))),
        *(Said(TCP, response(media_type)) for media_type in ("video/mp4", "Audio/AAC; x=y", "application/vnd.apple.mpegurl")),
        Said(TCP, response("video/mp2t", status="206 Partial Content")),
        Said(TCP, response("text/html", b"x" * 900) + response("video/mp4"), b"", len(response("text/html", b"x" * 900))),
        Said(TCP, response("video/mp4"), b"", 20),
        Said(TCP, response("text/plain", b"#EXTM3U\n#EXT-X-VERSION:3\n")),
        Said(TCP, OK + b"\r\n<MPD xmlns="),
        Said(TCP, response("application/octet-stream", b"\0\0\0\x18stypmsdh")),
        Said(TCP, response("application/octet-stream", b"1f40;x=y\r\n\0\0\0\x10moof")),
        Said(TCP, response("application/octet-stream", b'<?xml version="1.0"?>\n<MPD>')),
    ],
}

NOT_RECOGNISED = {
    "an RDP client that changes to TLS": Said(TCP, TPKT + b"\x16\3\1" + RANDOM, TPKT),
    "TPKT of the very length": Said(TCP, TPKT + b"\3\0" + RANDOM[: 1537 - 21]),
    "C1 that is not whole": Said(TCP, RTMP[:-1]),
    "a longer stream that begins with 3": Said(TCP, RTMP_FLASH + RANDOM, b"\4"),
    "SIP": Said(TCP, b"OPTIONS sip:a@b.example SIP/2.0\r\n"),
    "HTTP with a verb of both": Said(TCP, b"OPTIONS * HTTP/1.1\r\n\r\n"),
    "a word that is no verb": Said(TCP, b"PLAYED rtsp://a.example/ RTSP/1.0\r\n"),
    "one transport packet": Said(UDP, TS),
    "transport packets with a rest": Said(UDP, TS * 3 + b"x"),
    "a transport error": Said(UDP, TS + b"\x47\xc0" + TS[2:]),
    "neither payload nor adaptation field": Said(UDP, TS + TS[:3] + b"\x05" + TS[4:]),
    "RTP with sound": Said(UDP, RTP + bytes(160)),
    "RTP that ends in its header": Said(UDP, b"\x9f" + RTP[1:]),
    "a hello cut short": Said(TCP, SPOTIFY[:-1]),
    "a hello without a key": Said(TCP, hello(*SPOTIFY_FIELDS[:4], field(60, bytes(120)))),
    "a hello with another field": Said(TCP, hello(*SPOTIFY_FIELDS, field(11))),
    "a hello that does not end where it says": Said(TCP, hello(*SPOTIFY_FIELDS, b"\xd2\x04\x7f")),
    "a page about icecast": Said(TCP, response("text/html", b"\r\nicy-name: x\r\n")),
    "HTTP for a page": Said(TCP, get("/watch?v=a.m3u8")),
    "a script in TypeScript": Said(TCP, get("/app/main.ts")),
    "a sound that may not be there": Said(TCP, get("/click.mp3")),
    "a film in the query": Said(TCP, get("/play?file=/a.mp4")),
    "a video that is not there": Said(TCP, response("video/mp4", status="404 Not Found")),
    "a video that has not changed": Said(TCP, response("video/mp4", status="304 Not Modified")),
    "a film that is a download": Said(TCP, response("application/octet-stream", b"\0\0\0\x18ftypmp42")),
    "a page": Said(TCP, response("text/html", b"<html>")),
    "a picture in the container of videos": Said(TCP, response("image/avif", b"\0\0\0\x1cftypavif")),
    "a page that shows a response": Said(TCP, response("text/html", b"x" * 90 + response("video/mp4")), b"", 60),
    "a head that is not whole": Said(TCP, OK + b"Content-Type: vid"),
    "a page whose body goes on with a name of a box": Said(TCP, response("text/html", bytes(200) + b"styp"), b"", 150),
}


@pytest.mark.parametrize(("protocol", "said"), [(name, said) for name, all_said in RECOGNISED.items() for said in all_said])
def test_what_a_protocol_says_is_recognised_as_that_protocol_alone(protocol: str, said: Said) -> None:
    assert [(each.protocol, each.traffic_class) for each in found(said)] == [(protocol, TrafficClass.STREAMING)]


@pytest.mark.parametrize("name", NOT_RECOGNISED)
def test_what_falls_short_is_not(name: str) -> None:
    assert found(NOT_RECOGNISED[name]) == []


@pytest.mark.parametrize("name", OVER_TCP)
def test_what_others_say_over_tcp_is_not(name: str) -> None:
    assert found(Said(TCP, OVER_TCP[name])) == []


@pytest.mark.parametrize("name", OVER_UDP)
def test_what_others_say_over_udp_is_not(name: str) -> None:
    assert found(Said(UDP, OVER_UDP[name])) == []


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_what_peers_say_is_not(known: Known) -> None:
    assert found(Said(known.transport, known.sight.payload, known.sight.other)) == []


ALL = [said for all_said in RECOGNISED.values() for said in all_said]


@given(st.sampled_from(ALL), st.data())
def test_what_is_cut_or_changed_or_chance_raises_nothing(said: Said, data: st.DataObject) -> None:
    payload = bytearray(said.payload[: data.draw(st.integers(1, len(said.payload)))])
    for _ in range(data.draw(st.integers(0, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    fresh = data.draw(st.integers(0, len(payload) - 1))
    sight = Sight(bytes(payload), data.draw(st.binary(max_size=64)), fresh, 3, False, False, SERVER, CLIENT)
    for each in DETECTORS:
        each.detect(sight)


@given(st.binary(min_size=1, max_size=2000))
def test_whatever_the_bytes_are_there_is_an_answer(payload: bytes) -> None:
    for each in DETECTORS:
        each.detect(Sight(payload, payload, len(payload) - 1, 1, True, False, CLIENT, SERVER))
