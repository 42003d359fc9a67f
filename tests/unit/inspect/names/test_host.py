"""Host names: what is one, and how it is written."""

from __future__ import annotations

import pytest

from edged.inspect.names.host import host_name, host_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"www.example.com", "www.example.com"),
        (b"WWW.Example.COM", "www.example.com"),
        (b"example.com.", "example.com"),
        (b"xn--r8jz45g.jp", "xn--r8jz45g.jp"),
        (b"_dmarc.a-b", "_dmarc.a-b"),
        (b"localhost", "localhost"),
        (b"192.0.2.1", "192.0.2.1"),
        (b"a" * 63 + b".b", "a" * 63 + ".b"),
        (b".".join([b"a" * 49] * 5) + b".abc", ".".join(["a" * 49] * 5) + ".abc"),
    ],
)
def test_a_host_name_is_told_in_lower_case(text: bytes, name: str) -> None:
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b".", b"a..b", b".a", b"a.b..", b"a b", b"a\0.com", b"a.com\n", b"a.com:443", b"*.a.com", b"a/b", b"user@a.com"),
        *("ü.example".encode(), b"\xff", b"a" * 64, b".".join([b"a" * 49] * 5) + b".abcd"),
    ],
)
def test_what_is_no_host_name_is_not_mended(text: bytes) -> None:
    assert host_name(text) is None


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"Example.com", "example.com"),
        (b"example.com:8080", "example.com"),
        (b"example.com:", "example.com"),
        (b"192.0.2.1:80", "192.0.2.1"),
        (b"[2001:DB8::1]", "[2001:db8::1]"),
        (b"[2001:db8::1]:443", "[2001:db8::1]"),
    ],
)
def test_the_host_of_an_authority(authority: bytes, host: str) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    "authority",
    [
        *(b"", b":80", b"example.com:80:80", b"example.com:http", b"example.com:123456", b"[2001:db8::1", b"[]", b"[x]:80"),
        *(b"[2001:db8::1]x", b"2001:db8::1", b"[2001:db8::1%25eth0]", b"[" + b"1" * 46 + b"]"),
    ],
)
def test_an_authority_without_a_sound_host(authority: bytes) -> None:
    assert host_of(authority) is None
