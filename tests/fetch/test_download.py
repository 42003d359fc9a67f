"""What a server can answer, and what becomes of it."""

from __future__ import annotations

import re
import socket
import time

import pytest

from edged import __version__
from edged.fetch.client import Fetched, FetchFailed, Unchanged
from tests.fetch.conftest import Fetching
from tests.fetch.server import (
    Handler,
    Page,
    Server,
    chunked,
    content,
    cut,
    redirect,
    silence,
    status,
    trickle,
    until_closed,
)

MODIFIED = "Wed, 01 Apr 2026 10:00:00 GMT"
LIST = b"192.0.2.0/24\n" * 20000  # more than one block


def test_the_body_is_stored_as_it_was_sent_with_its_validators(server: Server, fetching: Fetching) -> None:
    server.pages["/list"] = content(LIST, ETag='W/"1"', Last_Modified=MODIFIED, Content_Encoding="gzip")
    assert fetching(server.url()) == (Fetched('W/"1"', MODIFIED, len(LIST)), LIST)
    (asked,) = server.asked
    assert asked.headers["User-Agent"] == f"edged/{__version__}"
    assert asked.headers["Accept-Encoding"] == "identity"
    assert asked.headers["If-None-Match"] is asked.headers["If-Modified-Since"] is asked.headers["Authorization"] is None


def test_nothing_is_written_where_nothing_has_changed(server: Server, fetching: Fetching) -> None:
    server.pages["/list"] = status(304)
    assert fetching(server.url(), etag='"1"', last_modified=MODIFIED) == (Unchanged(), b"")
    (asked,) = server.asked
    assert (asked.headers["If-None-Match"], asked.headers["If-Modified-Since"]) == ('"1"', MODIFIED)


def test_an_answer_that_nothing_has_changed_since_never_is_a_failure(server: Server, fetching: Fetching) -> None:
    server.pages["/list"] = status(304)
    with pytest.raises(FetchFailed, match="answers 304"):
        fetching(server.url())


def test_validators_that_cannot_be_repeated_are_forgotten(server: Server, fetching: Fetching) -> None:
    server.pages["/list"] = content(b"1", ETag='"' + "x" * 2000 + '"', Last_Modified="one\r\n two")
    assert fetching(server.url()) == (Fetched("", "", 1), b"1")


@pytest.mark.parametrize("page", [chunked(b"12", b"345", b""), until_closed(b"12345", properly=True)])
def test_a_body_need_not_say_how_long_it_is(server: Server, fetching: Fetching, page: Page) -> None:
    server.pages["/list"] = page
    assert fetching(server.url()) == (Fetched("", "", 5), b"12345")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (cut(9, b"12345"), "5 of 9 bytes came"),
        (cut(9, b""), "0 of 9 bytes came"),
        (chunked(b"12", b"345", properly=True), "the body was cut before its end"),
        (chunked(b"12", b"345"), "cut the connection before its end"),
        (until_closed(b"12345", properly=False), "cut the connection before its end"),
    ],
)
def test_a_body_that_was_cut_is_a_failure(server: Server, fetching: Fetching, page: Page, said: str) -> None:
    server.pages["/list"] = page
    with pytest.raises(FetchFailed, match=said):
        fetching(server.url())


def test_a_body_may_be_as_large_as_is_allowed(server: Server, fetching: Fetching) -> None:
    server.pages["/list"] = chunked(LIST, b"")
    assert fetching(server.url(), largest=len(LIST)) == (Fetched("", "", len(LIST)), LIST)


@pytest.mark.parametrize("page", [content(LIST), chunked(LIST, b""), cut(10**12, b"1")])
def test_a_body_that_is_too_large_is_a_failure(server: Server, fetching: Fetching, page: Page) -> None:
    server.pages["/list"] = page
    with pytest.raises(FetchFailed, match=f"larger than {len(LIST) - 1} bytes"):
        fetching(server.url(), largest=len(LIST) - 1)


@pytest.mark.parametrize("page", [trickle, silence])
def test_the_whole_download_has_a_deadline(server: Server, fetching: Fetching, page: Page) -> None:
    server.pages["/list"] = page
    began = time.monotonic()
    with pytest.raises(FetchFailed, match=r"it took longer than 0\.7 s"):
        fetching(server.url(), seconds=0.7)
    assert time.monotonic() - began < 4


def test_redirects_are_followed_with_the_validators(server: Server, fetching: Fetching) -> None:
    server.pages |= {
        "/list": redirect("/2", 301),
        "/2": redirect(server.url("/3"), 307),
        "/3": redirect("4 \u00e9", 308),
        "/4%20%E9": redirect("/5", 303),
        "/5": redirect("?key=1"),
    }
    server.pages["/5"] = lambda handler: (content(b"1") if "key" in handler.path else redirect("?key=1"))(handler)
    assert fetching(server.url(), etag='"1"') == (Fetched("", "", 1), b"1")
    assert [each.headers["If-None-Match"] for each in server.asked] == ['"1"'] * 6


def test_a_redirect_without_end_is_a_failure(server: Server, fetching: Fetching) -> None:
    server.pages["/list"] = redirect("/list")
    with pytest.raises(FetchFailed, match="redirected more than 5 times, at last to https://127"):
        fetching(server.url())
    assert len(server.asked) == 6


@pytest.mark.parametrize("target", ["http://127.0.0.1/list?key=hush", "file:///etc/passwd", "ftp://127.0.0.1/"])
def test_a_redirect_leads_nowhere_but_to_https(server: Server, fetching: Fetching, target: str) -> None:
    server.pages["/list"] = redirect(target)
    with pytest.raises(FetchFailed, match=f"redirects to {re.escape(target.partition('?')[0])}, and edged follows") as failed:
        fetching(server.url())
    assert "hush" not in str(failed.value)


@pytest.mark.parametrize("target", ["https://[", "https://:443/", "https://127.0.0.1:none/", "https://a..b/"])
def test_a_redirect_to_what_is_no_url_is_a_failure(server: Server, fetching: Fetching, target: str) -> None:
    server.pages["/list"] = redirect(target)
    with pytest.raises(FetchFailed, match=r"no URL|names no host|no URL may have|cannot be asked for"):
        fetching(server.url())


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (404, "answers 404 Not Found; look whether it has moved"),
        (403, "answers 403 Forbidden; look whether its token"),
        (429, "answers 429 Too Many Requests; fetch it less often"),
        (500, "answers 500 Internal Server Error; the fault is the server's"),
        (599, "answers 599; the fault is the server's"),
        (206, "answers 206 Partial Content"),
        (302, "answers 302 Found"),  # without saying where to
    ],
)
def test_an_answer_that_is_no_list_is_a_failure(server: Server, fetching: Fetching, number: int, said: str) -> None:
    server.pages["/list"] = status(number)
    with pytest.raises(FetchFailed, match=re.escape(f"{server.url()} {said}")):
        fetching(server.url())


def test_what_is_no_http_is_a_failure(server: Server, fetching: Fetching) -> None:
    def other(handler: Handler) -> None:
        handler.wfile.write(b"220 mail.example ESMTP\r\n")

    server.pages["/list"] = other
    with pytest.raises(FetchFailed, match="answers with what is no HTTP"):
        fetching(server.url())


def test_a_password_is_sent_to_its_own_host_alone(server: Server, fetching: Fetching) -> None:
    server.pages |= {"/list": redirect("/2"), "/2": redirect(server.url("/3")), "/3": content(b"1")}
    fetching(server.url().replace("https://", "https://me:a%40b@"))
    assert [each.headers["Authorization"] for each in server.asked] == ["Basic bWU6YUBi", "Basic bWU6YUBi", None]


@pytest.mark.parametrize("page", [status(500), redirect("http://127.0.0.1/"), redirect("/list?key=hush2"), cut(9, b""), trickle])
def test_no_failure_tells_the_secrets_of_a_url(server: Server, fetching: Fetching, page: Page) -> None:
    server.pages["/list"] = page
    url = server.url("/list?key=hush1#hush4").replace("https://", "https://hush2:hush3@")
    with pytest.raises(FetchFailed, match=re.escape(server.url())) as failed:
        fetching(url, seconds=0.7)
    assert "hush" not in str(failed.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hush@127.0.0.1/list?hush", "edged fetches by https:// alone"),
        ("file:///etc/passwd", "edged fetches by https:// alone"),
        ("https:///list?hush", "the URL names no host"),
        ("https://hush@[::1/?hush", "cannot be asked for"),
        ("https://hush@a..b/?hush", "cannot be asked for"),
        ("https://hush@127.0.0.1:x/?hush", "a port that no URL may have"),
        ("https://hush@127.0.0.1/ ?hush", "characters or a port that no URL may have"),
        ("https://hush@127.0.0.1:1/\u00e9?hush", "refuses the connection|cannot be asked for"),
        ("https://hush@lists.invalid/?hush", r"the name lists\.invalid cannot be resolved"),
    ],
)
def test_a_url_that_leads_nowhere_is_a_failure(fetching: Fetching, url: str, said: str) -> None:
    with pytest.raises(FetchFailed, match=said) as failed:
        fetching(url, seconds=20)
    assert "hush" not in str(failed.value)
    assert "nothing of it is used" in str(failed.value)


def test_a_refused_connection_is_told_with_host_and_port(fetching: Fetching) -> None:
    with socket.socket() as bound:  # bound, and nobody listens
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(FetchFailed, match=rf"127\.0\.0\.1:{port} refuses the connection"):
            fetching(f"https://127.0.0.1:{port}/list")


def test_a_proxy_of_the_environment_is_asked(server: Server, fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{bound.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(FetchFailed, match=r"lists\.example through https_proxy refuses the connection"):
            fetching("https://lists.example/list")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        server.pages["/list"] = content(b"1")
        assert fetching(server.url()) == (Fetched("", "", 1), b"1")
