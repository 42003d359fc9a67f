"""The host of a request and the media type of a response, as their heads come in."""

from __future__ import annotations

import pytest

from edged.inspect.names.answers import LONGEST, NEED_MORE
from edged.inspect.names.http import NOT_HTTP, Request, Response, request_head, response_head

GET = b"GET /a?b=c HTTP/1.1\r\n"
HEAD = GET + b"Accept: */*\r\nHost: www.Example.com:8080\r\nUser-Agent: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
MEDIA = OK + b'Server: x\r\nContent-Type: Video/MP4; codecs="avc1"\r\nContent-Length: 5\r\n\r\n'


def host(head: bytes) -> str | None:
    answer = request_head(head)
    assert isinstance(answer, Request), answer
    return answer.host


def media_type(head: bytes) -> str | None:
    answer = response_head(head)
    assert isinstance(answer, Response), answer
    return answer.content_type


def test_a_whole_request() -> None:
    assert request_head(HEAD) == Request(b"GET", b"/a?b=c", "www.example.com", len(HEAD))
    assert request_head(HEAD + b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n") == request_head(HEAD)


def test_a_request_byte_by_byte_has_its_host_once_that_has_ended() -> None:
    known = HEAD.index(b"User-Agent") + 1
    assert {request_head(HEAD[:length]) for length in range(known)} == {NEED_MORE}
    early = Request(b"GET", b"/a?b=c", "www.example.com", 0)
    assert {request_head(HEAD[:length]) for length in range(known, len(HEAD))} == {early}


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (GET + b"host:a.example\r\n\r\n", "a.example"),
        (GET + b"HOST: \t a.example \t\r\n\r\n", "a.example"),
        (GET + b"Host: 192.0.2.1\r\n\r\n", "192.0.2.1"),
        (GET + b"Host: [2001:db8::1]:80\r\n\r\n", "[2001:db8::1]"),
        (b"GET / HTTP/1.1\nHost: a.example\n\n", "a.example"),
        (b"\r\n" + GET + b"Host: a.example\r\n\r\n", "a.example"),
        (b"M-SEARCH * HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"),
        (b"GET /with blank HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"),
        (b"GET / HTTP/1.0\r\n\r\n", None),
        (GET + b"Host:\r\n a.example\r\n\r\n", "a.example"),
        (GET + b"X: 1\r\n\tHost: b.example\r\nHost: a.example\r\n\r\n", "a.example"),
        (GET + b"Hostile: b.example\r\nX-Host: c.example\r\nHost: a.example\r\n\r\n", "a.example"),
    ],
)
def test_the_host_field(head: bytes, name: str | None) -> None:
    assert host(head) == name


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Host:\r\n",
        b"Host: a.example\r\nHost: b.example\r\n",
        b"Host: a.example\r\nhost: a.example\r\n",
        b"Host: a.example\r\n b.example\r\n",
        b"Host : a.example\r\n",
        b"Host: a.example\r\nHost\t: b.example\r\n",
        b"Host\r\nHost: a.example\r\n",
        b"Host: a.example\rHost: b.example\r\n",
        b"Host: a.example, b.example\r\n",
        b"Host: a.exam\0ple\r\n",
        b"Host: user@a.example\r\n",
        b" Host: a.example\r\n",
    ],
)
def test_a_host_that_cannot_be_relied_on_is_none(fields: bytes) -> None:
    assert host(GET + fields + b"\r\n") is None


def test_a_host_that_may_go_on_in_the_next_line_is_awaited() -> None:
    assert request_head(GET + b"Host: a.example\r\n") == NEED_MORE
    assert request_head(GET + b"Host: a.example\r\n ") == NEED_MORE
    assert request_head(GET + b"Host: a.example\r\n .b\r\n\r\n") == Request(b"GET", b"/a?b=c", None, len(GET) + 24)
    assert host(GET + b"Host: a.example\r\n\r") == "a.example"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"CONNECT a.example:443 HTTP/1.1", "a.example"),
        (b"CONNECT [2001:db8::1]:443 HTTP/1.1", "[2001:db8::1]"),
        (b"CONNECT /path HTTP/1.1", None),
        (b"GET http://A.example/b HTTP/1.1", "a.example"),
        (b"GET http://a.example HTTP/1.1", "a.example"),
        (b"GET HTTPS://a.example:8443?q HTTP/1.1", "a.example"),
        (b"GET http://user:pass@a.example/ HTTP/1.1", "a.example"),
        (b"GET http://b.example@a.example/ HTTP/1.1", "a.example"),
        (b"GET http:///b HTTP/1.1", None),
    ],
)
def test_a_target_with_an_authority_wins_over_the_host_field(line: bytes, name: str | None) -> None:
    assert host(line + b"\r\nHost: other.example\r\n\r\n") == name
    assert host(line + b"\r\n") == name


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"\x16\x03\x01",
            b" GET",
            b"GET\0",
            b"GET\t/",
            b"G" * 33,
            b"\r\n\r\n\r\n",
            b"GET / \x01",
            b"GET /\rx",
            b"GET /" + b"a" * 8192,
        ),
        *(b"GET / HTTP/2.0\r\n", b"GET /\r\n", b"GET HTTP/1.1\r\n", b"GET  HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        *(b"OPTIONS rtsp://a/ RTSP/1.0\r\n", b"REGISTER sip:a SIP/2.0\r\n", b"GET / HTTP/1.x\r\n", OK, b"\n", b"SSH-2.0-x\r\n"),
    ],
)
def test_what_is_no_request(data: bytes) -> None:
    assert request_head(data) == (NEED_MORE if data == b"\n" else NOT_HTTP)


def test_a_head_that_is_too_long_is_a_request_without_a_host() -> None:
    head = GET + b"X: " + b"a" * LONGEST + b"\r\nHost: a.example\r\n\r\n"
    assert request_head(head[:LONGEST]) == request_head(head) == Request(b"GET", b"/a?b=c", None, 0)
    assert request_head(head[: LONGEST - 1]) == NEED_MORE


def test_a_whole_response() -> None:
    assert response_head(MEDIA + b"\0\0\0\x18f") == Response(200, "video/mp4", len(MEDIA))


def test_a_response_byte_by_byte_has_its_type_once_that_has_ended() -> None:
    known = MEDIA.index(b"Content-Length") + 1
    assert {response_head(MEDIA[:length]) for length in range(known)} == {NEED_MORE}
    assert {response_head(MEDIA[:length]) for length in range(known, len(MEDIA))} == {Response(200, "video/mp4", 0)}


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (OK + b"\r\n", None),
        (OK + b"content-type:audio/mpeg\r\n\r\n", "audio/mpeg"),
        (b"HTTP/1.0 404\r\nContent-Type: text/html\r\n\r\n", "text/html"),
        (b"HTTP/1.1 206 \r\nContent-Type:\r\n application/dash+xml\r\n\r\n", "application/dash+xml"),
        (OK + b"Content-Type: a/b;x\r\nContent-Type: a/b\r\n\r\n", "a/b"),
        (OK + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", None),
        (OK + b"Content-Type: video\r\n\r\n", None),
        (OK + b"Content-Type: a/b, c/d\r\n\r\n", None),
        (OK + b"X-Content-Type: a/b\r\n\r\n", None),
    ],
)
def test_the_content_type(head: bytes, content_type: str | None) -> None:
    assert media_type(head) == content_type


def test_the_final_response_follows_interim_ones() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Type: a/b\r\n\r\n"
    assert {response_head(interim[:length]) for length in range(len(interim) + 1)} == {NEED_MORE}
    assert response_head(interim + MEDIA) == Response(200, "video/mp4", len(interim + MEDIA))
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    assert response_head(switching + b"\x81\0") == Response(101, None, len(switching))


@pytest.mark.parametrize(
    "data",
    [
        *(
            GET,
            b"HTTP/2 200\r\n",
            b"HTTP/1.1 99\r\n",
            b"HTTP/1.1 099 X\r\n",
            b"HTTP/1.1 2000\r\n",
            b"HTTP/1.1200 OK\r\n",
            b"ICY 200 OK\r\n",
        ),
        *(
            b"\0",
            b"HTTP/1.1 2x",
            b"HTTP/1.1 200\0",
            b"HTTP/1.1 200 " + b"a" * 8192,
            b"HTTP/1.1 100 Continue\r\n\r\nGET / HTTP/1.1\r\n",
        ),
    ],
)
def test_what_is_no_response(data: bytes) -> None:
    assert response_head(data) == NOT_HTTP


def test_a_response_whose_head_is_too_long() -> None:
    head = OK + b"X: " + b"a" * LONGEST
    assert response_head(head) == Response(200, None, 0)
    assert response_head(head.replace(b"200", b"103")) == NOT_HTTP
    assert response_head(head[: LONGEST - 1]) == NEED_MORE
