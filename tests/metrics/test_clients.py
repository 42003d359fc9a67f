"""Who may read the metrics page, as curl sees it: TLS, clients' certificates, names and passwords, files that change."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from edged.metrics import basicauth, server
from tests.fetch.authority import Authority
from tests.metrics.conftest import BODY, PASSWORD, Page, certificate

PAGE = BODY.decode()


def as_client(authority: Authority) -> tuple[str, ...]:
    """curl's options of a client with a certificate of that authority."""
    made = certificate(authority, "prometheus", "DNS:prometheus")
    return ("--cert", str(made.chain), "--key", str(made.key))


def test_without_settings_everybody_reads_the_page(page: Page) -> None:
    page.serve()
    assert page.ask(scheme="http") == (0, "200", PAGE)


def test_tls_alone_lets_everybody_read_and_nobody_in_the_clear(page: Page) -> None:
    page.serve(tls=page.tls())
    assert page.ask() == (0, "200", PAGE)
    assert page.ask(scheme="http").body == ""


@pytest.mark.parametrize(("version", "works"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_tls_begins_with_version_1_2(page: Page, version: str, *, works: bool) -> None:
    page.serve(tls=page.tls())
    option = version.removeprefix("TLS").replace("_", ".").lower()
    cipher = ("--ciphers", "DEFAULT@SECLEVEL=0") if version == "TLSv1_1" else ()
    done = page.ask(f"--tls{option}", "--tls-max", option.removeprefix("v"), *cipher)
    assert (done.body == PAGE) is works


def test_a_client_needs_a_certificate_of_the_authority(page: Page, authority: Authority, stranger: Authority) -> None:
    page.serve(tls=page.tls(clients=True))
    assert page.ask(*as_client(authority)) == (0, "200", PAGE)
    for options in ((), as_client(stranger)):
        refused = page.ask(*options)
        assert refused.curl != 0
        assert (refused.status, refused.body) == ("000", "")


def test_a_reader_needs_the_password(page: Page) -> None:
    page.serve(tls=page.tls(), basic_auth_users_file=page.users())
    assert page.ask("-u", f"prometheus:{PASSWORD}") == (0, "200", PAGE)
    for options in ((), ("-u", f"prometheus:{PASSWORD}x"), ("-u", f"grafana:{PASSWORD}"), ("-u", "prometheus:")):
        assert page.ask(*options) == (0, "401", "")
    for header in ("Basic", "Basic !!", "Basic cHJvbWV0aGV1cw==", f"Bearer {PASSWORD}", "Basic " + "A" * 5000):
        assert page.ask("-H", f"Authorization: {header}") == (0, "401", "")


def test_both_are_needed_where_both_are_asked_for(page: Page, authority: Authority) -> None:
    page.serve(tls=page.tls(clients=True), basic_auth_users_file=page.users())
    client, user = as_client(authority), ("-u", f"prometheus:{PASSWORD}")
    assert page.ask(*client, *user).body == PAGE
    assert page.ask(*client).status == "401"
    assert page.ask(*user).status == "000"


def test_a_right_password_is_hashed_once_and_a_wrong_one_is_slow(page: Page) -> None:
    page.serve(basic_auth_users_file=page.users())
    right, wrong = ("-u", f"prometheus:{PASSWORD}"), ("-u", "prometheus:guess")
    page.ask(*right, scheme="http")
    began = time.monotonic()
    guesses = [threading.Thread(target=page.ask, args=wrong, kwargs={"scheme": "http"}) for _ in range(5)]
    for each in guesses:
        each.start()
    assert page.ask(*right, scheme="http").body == PAGE  # it waits behind none of them
    assert time.monotonic() - began < basicauth.FAILURE_PAUSE * 4
    for each in guesses:
        each.join()
    assert time.monotonic() - began > basicauth.FAILURE_PAUSE * 5


def serial(page: Page) -> int:
    """The serial number of the certificate that the page shows."""
    context = ssl.create_default_context(cafile=str(page.authority.pem))
    with (
        socket.create_connection((page.listen.host, page.listen.port), 5) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as secured,
    ):
        found = secured.getpeercert()
    assert found is not None
    return int(str(found["serialNumber"]), 16)


def test_a_renewed_certificate_is_shown_at_once_and_a_broken_one_never(page: Page) -> None:
    page.serve(tls=page.tls())
    before = serial(page)
    page.tls()
    renewed = serial(page)
    assert renewed != before
    (page.folder / "page.key").write_text("half a")
    assert serial(page) == renewed
    assert page.keeper.degraded is not None
    assert page.keeper.degraded["why"] == "metrics.tls.key_file holds no private key in PEM"
    page.tls()
    assert serial(page) not in {before, renewed}
    assert page.keeper.degraded is None


def test_a_password_that_was_changed_holds_no_more(page: Page) -> None:
    path = page.users()
    page.serve(basic_auth_users_file=path)
    assert page.ask("-u", f"prometheus:{PASSWORD}", scheme="http").status == "200"
    path.write_text(path.read_text().replace("prometheus:", "grafana:"))
    assert page.ask("-u", f"prometheus:{PASSWORD}", scheme="http").status == "401"
    assert page.ask("-u", f"grafana:{PASSWORD}", scheme="http").status == "200"


def test_settings_that_cannot_be_kept_let_nobody_in(page: Page) -> None:
    page.serve()
    assert page.ask(scheme="http").status == "200"
    tls = page.tls()
    tls.key_file.unlink()
    page.serve(tls=tls)  # what asked for TLS is never served without
    assert page.ask(scheme="http").status == "000"  # closed or reset
    assert page.ask().status == "000"


def test_connections_that_say_nothing_keep_nobody_waiting(page: Page) -> None:
    page.serve(tls=page.tls())
    silent = [socket.create_connection((page.listen.host, page.listen.port)) for _ in range(server.MOST_CONNECTIONS)]
    began = time.monotonic()
    assert page.ask().body == PAGE
    assert time.monotonic() - began < 5
    assert silent[0].recv(1) == b"", "it made room"
    for each in silent:
        each.close()
    time.sleep(0.2)
    assert page.ask().body == PAGE


def test_what_is_wrong_with_a_request_is_nobody_elses_business(page: Page, capfd: pytest.CaptureFixture[str]) -> None:
    page.serve()
    for sent in (b"\x16\x03\x01\x00\x05hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000, b"\r\n"):
        with socket.create_connection((page.listen.host, page.listen.port)) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert page.ask(scheme="http").body == PAGE
    written = capfd.readouterr()
    assert written.out + written.err == ""


def test_the_command_makes_a_line_that_lets_its_user_in(page: Page) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "edged", "config", "password-hash", "grafana"],
        input="correct horse\n",
        capture_output=True,
        text=True,
        check=True,
    )
    path = page.folder / "users"
    path.write_text(made.stdout)
    page.serve(basic_auth_users_file=path)
    assert page.ask("-u", "grafana:correct horse", scheme="http").body == PAGE
