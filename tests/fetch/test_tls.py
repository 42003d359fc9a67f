"""Whom a download believes: the authorities it is given, for the name and the time that the certificate is for."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

import pytest

from edged.fetch.client import Fetched, FetchFailed
from tests.fetch.authority import Authority, Certificate
from tests.fetch.conftest import Fetching
from tests.fetch.server import Server, content, redirect, serving

WRONG = {
    "expired": r"certificate has expired\); look at this machine's clock",
    "future": r"certificate is not yet valid\); look at this machine's clock",
    "other host": r"mismatch.*\); look at the URL's host",
    "other address": r"mismatch.*\); look at the URL's host",
    "unknown authority": r"unable to get local issuer certificate\); install the package ca-certificates",
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_certificate_is_a_failure_that_says_why(
    certificates: dict[str, Certificate], fetching: Fetching, kind: str
) -> None:
    with serving(certificates[kind]) as server:
        server.pages["/list"] = content(b"1")
        with pytest.raises(FetchFailed, match=WRONG[kind]):
            fetching(server.url("/list?key=hush"))
        assert server.asked == []  # the token in the URL was not told to whoever that was


def test_a_redirect_is_believed_no_more_than_the_first_host(
    server: Server, certificates: dict[str, Certificate], fetching: Fetching
) -> None:
    with serving(certificates["unknown authority"]) as other:
        other.pages["/list"] = content(b"1")
        server.pages["/list"] = redirect(other.url())
        with pytest.raises(FetchFailed, match=rf"certificate of 127\.0\.0\.1:{other.server_port} is not to be trusted"):
            fetching(server.url())


def test_an_authority_of_the_test_is_nobody_to_the_system(server: Server, fetching: Fetching) -> None:
    server.pages["/list"] = content(b"1")
    with pytest.raises(FetchFailed, match="is not to be trusted"):
        fetching(server.url(), ca=None)


def test_the_environment_can_name_the_systems_authorities(
    server: Server, authority: Authority, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.NamedTemporaryFile() as readable:  # tmp_path is closed to nobody
        readable.write(authority.pem.read_bytes())
        readable.flush()
        Path(readable.name).chmod(0o644)
        monkeypatch.setenv("SSL_CERT_FILE", readable.name)
        server.pages["/list"] = content(b"1")
        assert fetching(server.url(), ca=None) == (Fetched("", "", 1), b"1")


def test_old_tls_is_refused(certificates: dict[str, Certificate], fetching: Fetching) -> None:
    with serving(certificates["good"], ssl.TLSVersion.TLSv1_2) as server:
        server.pages["/list"] = content(b"1")
        assert fetching(server.url()) == (Fetched("", "", 1), b"1")
    with serving(certificates["good"], ssl.TLSVersion.TLSv1_1) as server:
        server.pages["/list"] = content(b"1")
        with pytest.raises(FetchFailed, match=r"no TLS with .*edged asks for TLS 1\.2 or newer"):
            fetching(server.url())


def test_the_authorities_may_have_comments_of_any_kind(
    server: Server, authority: Authority, fetching: Fetching, tmp_path: Path
) -> None:
    server.pages["/list"] = content(b"1")
    commented = tmp_path / "ca.pem"
    commented.write_bytes("# das Amt für Zertifikate\n".encode() + authority.pem.read_bytes())
    commented.chmod(0o600)
    assert fetching(server.url(), ca=commented) == (Fetched("", "", 1), b"1")


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "x" * 1048577]
)
def test_authorities_that_are_none_are_a_failure(server: Server, fetching: Fetching, tmp_path: Path, text: str) -> None:
    (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(FetchFailed, match="holds no certificates in PEM"):
        fetching(server.url(), ca=tmp_path / "ca.pem")
    assert server.asked == []


def test_authorities_that_are_absent_are_a_failure(server: Server, fetching: Fetching, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match=r"the authorities to trust cannot be read: .*No such file"):
        fetching(server.url(), ca=tmp_path / "absent.pem")
