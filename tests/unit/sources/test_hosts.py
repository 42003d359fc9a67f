from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.hosts import Hosts, parse_hosts

SHIPPED = Path(__file__).parents[3] / "rules/hosts/streaming.txt"


def test_a_suffix_covers_itself_and_all_names_below_it_and_nothing_else() -> None:
    hosts = Hosts(frozenset({"video.example", "media.other.example"}))
    assert [name for name in ("video.example", "a.b.video.example", "x.media.other.example") if not hosts.covers(name)] == []
    for name in ("notvideo.example", "example", "other.example", "video.example.evil.example", "", ".", "video.example."):
        assert not hosts.covers(name), name


def test_comments_blank_lines_and_case_are_of_no_account() -> None:
    parsed = parse_hosts(b"# all of it\n\n  Video.EXAMPLE  # theirs\r\nb.example\n")
    assert parsed.hosts == Hosts(frozenset({"video.example", "b.example"}))
    assert parsed.bad == ()


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("co.jp", 1, "a public suffix"),
        ("  akamaihd.net", 3, "a public suffix"),
        ("tv", 1, "a public suffix"),
        ("xn--55qx5d.cn", 1, "a public suffix"),
        ("*.video.example", 1, "write 'video.example'"),
        (".video.example", 1, "expected no dot at the ends; write 'video.example'"),
        ("video.example.", 1, "expected no dot at the ends; write 'video.example'"),
        ("https://video.example/a", 1, "expected a host name, got a URL"),
        ("192.0.2.1", 1, "got an address or a port"),
        ("2001:db8::1", 1, "got an address or a port"),
        ("video.example:443", 1, "got an address or a port"),
        ("a.example b.example", 1, "expected one host name a line"),
        ("bücher.example", 1, "write 'xn--bcher-kva.example'"),
        ("-a.example", 1, "got '-a'"),
        ("a..example", 1, "got ''"),
        (f"{'a' * 64}.example", 1, "63 at most"),
        ("a." * 130 + "example", 1, "longer than 253"),
        ("b.example", 1, "is on line 1 already"),
    ],
)
def test_a_line_that_is_no_suffix_is_told_with_its_place_and_what_to_write(line: str, column: int, message: str) -> None:
    parsed = parse_hosts(f"b.example\n{line}\nc.example\n".encode())
    assert parsed.hosts.suffixes == {"b.example", "c.example"}
    (bad,) = parsed.bad
    assert (bad.line, bad.column) == (2, column)
    assert message in str(bad)
    assert str(bad).startswith(f"2:{column}: ")


def test_every_bad_line_is_told_of_at_once() -> None:
    assert [bad.line for bad in parse_hosts(b"com\na.example\njp\n").bad] == [1, 3]


def test_what_is_not_utf8_is_told_with_its_place() -> None:
    assert [str(bad) for bad in parse_hosts(b"a.example\nb\xff.example\n").bad] == ["2:2: expected UTF-8"]


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_there_is_an_answer(data: bytes) -> None:
    parsed = parse_hosts(data)
    assert all(parsed.hosts.covers(f"below.{suffix}") for suffix in parsed.hosts.suffixes)


def test_the_shipped_list_is_valid_and_names_media_not_whole_companies() -> None:
    parsed = parse_hosts(SHIPPED.read_bytes())
    assert parsed.bad == ()
    covers = parsed.hosts.covers
    media = (
        "rr4---sn-5hne6nzy.googlevideo.com i.ytimg.com ipv4-c001.oca.nflxvideo.net video-weaver.tyo01.hls.ttvnw.net "
        "linear-abematv.akamaized.net delivery.domand.nicovideo.jp radiko.jp audio-fa.scdn.co s3.ll.aiv-cdn.net "
        "vod-akc.media.dssott.com dcb.dazndn.com video.unext.jp tver.jp music.yandex.ru"
    )
    assert [name for name in media.split() if not covers(name)] == []
    others = (
        "www.google.com fonts.googleapis.com www.amazon.co.jp s3.amazonaws.com www.apple.com lh3.googleusercontent.com "
        "www.nhk.or.jp www.docomo.ne.jp rakuten.co.jp yandex.ru akamaized.net fbcdn.net"
    )
    assert [name for name in others.split() if covers(name)] == []
