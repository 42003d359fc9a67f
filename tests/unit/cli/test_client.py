"""The control client against answers as a daemon, a stranger, or nobody gives them. The socket is a real one, in a folder of
the test: that it is HTTP over a unix socket is what the client is about.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.control import client as module
from edged.control.asked import Guards
from edged.control.client import ControlClient, DaemonRefused, NoDaemon
from edged.errors import ExitCode, Unreachable
from edged.lockout.farend import Login

Serve = Callable[[bytes], "Stub"]
LOGIN = Login(ip_address("198.51.100.9"), 4000, ip_address("192.0.2.1"), 22)


class Stub:
    """Answers one connection with these bytes, and keeps what it was sent."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.asked = b""
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.asked:
                self.asked += connection.recv(65536)
            head, _, body = self.asked.partition(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
            while len(body) < length:
                body += connection.recv(65536)
            self.asked = head + b"\r\n\r\n" + body
            connection.sendall(self._answer)

    def close(self) -> None:
        self._thread.join(5)
        self._listener.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    stubs = []

    def start(answer: bytes) -> Stub:
        stubs.append(Stub(tmp_path / "control.sock", answer))
        return stubs[-1]

    yield start
    for stub in stubs:
        stub.close()


@pytest.fixture
def client(tmp_path: Path) -> ControlClient:
    return ControlClient(tmp_path / "control.sock")


def http(status: str, content: object) -> bytes:
    body = json.dumps(content).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_status_is_a_get(serve: Serve, client: ControlClient) -> None:
    stub = serve(http("200 OK", {"schema": "edged/v1/status"}))
    assert client.status()["schema"] == "edged/v1/status"
    assert stub.asked.startswith(b"GET /v1/status HTTP/1.1\r\n")


def test_top_asks_for_no_more_than_it_shows(serve: Serve, client: ControlClient) -> None:
    stub = serve(http("200 OK", {"schema": "edged/v1/top", "leases": 0, "uses": []}))
    assert client.top(7)["leases"] == 0
    assert stub.asked.startswith(b"GET /v1/top?limit=7 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("call", "target", "body"),
    [
        (lambda client: client.reload(), "/v1/reload", {"login": None}),
        (lambda client: client.reload(LOGIN), "/v1/reload", {"login": "198.51.100.9 4000 192.0.2.1 22"}),
        (lambda client: client.apply(None), "/v1/apply", {"confirm_seconds": None, "login": None, "guards": "held"}),
        (
            lambda client: client.apply(1.5, LOGIN, Guards.OVERRIDDEN),
            "/v1/apply",
            {"confirm_seconds": 1.5, "login": "198.51.100.9 4000 192.0.2.1 22", "guards": "overridden"},
        ),
        (lambda client: client.confirm(), "/v1/confirm", {}),
        (lambda client: client.rollback(), "/v1/rollback", {}),
        (lambda client: client.teardown(), "/v1/teardown", {}),
    ],
)
def test_changes_are_posts_with_json(
    serve: Serve, client: ControlClient, call: Callable[[ControlClient], object], target: str, body: object
) -> None:
    stub = serve(http("200 OK", {"changed": 0}))
    assert call(client) == {"changed": 0}
    head, _, sent = stub.asked.partition(b"\r\n\r\n")
    assert head.startswith(f"POST {target} HTTP/1.1\r\n".encode())
    assert json.loads(sent) == body


def test_a_refusal_carries_the_daemons_words_code_and_problems(serve: Serve, client: ControlClient) -> None:
    serve(http("422 Unprocessable Entity", {"error": "the files are wrong", "exit_code": 3, "problems": ["a.yaml:1:1: no"]}))
    with pytest.raises(DaemonRefused, match="the files are wrong") as refused:
        client.reload()
    assert refused.value.exit_code is ExitCode.INVALID
    assert refused.value.problems == ("a.yaml:1:1: no",)


@pytest.mark.parametrize("content", [{}, {"error": "", "exit_code": 99}, "text", None])
def test_a_refusal_without_reason_is_a_failure_all_the_same(serve: Serve, client: ControlClient, content: object) -> None:
    serve(http("500 Internal Server Error", content))
    with pytest.raises(DaemonRefused, match="HTTP status 500") as refused:
        client.reload()
    assert refused.value.exit_code is ExitCode.FAILED


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", http("200 OK", {})[:-1], b"HTTP/1.1 200 OK\r\n\r\nhello"])
def test_what_is_no_daemon_is_unreachable(serve: Serve, client: ControlClient, answer: bytes) -> None:
    serve(answer)
    with pytest.raises(Unreachable) as unreachable:
        client.status()
    assert not isinstance(unreachable.value, NoDaemon)
    assert unreachable.value.exit_code is ExitCode.UNREACHABLE


def test_nobody_there_says_what_holds_and_what_to_do(client: ControlClient) -> None:
    with pytest.raises(NoDaemon, match=r"still in force in the kernel\. Start it: systemctl start edged"):
        client.status()


def test_a_socket_left_by_a_dead_daemon_is_nobody(tmp_path: Path, client: ControlClient) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control.sock"))
    with pytest.raises(NoDaemon):
        client.status()


def test_a_daemon_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, client: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(module, "CHANGE_TIMEOUT", 0.05)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "control.sock"))
        hanging.listen()
        with pytest.raises(Unreachable, match=r"does not answer in time\. Its log"):
            client.status()
        with pytest.raises(Unreachable, match="Whether it did what was asked is not known"):
            client.reload()


def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="too long"):
        ControlClient(tmp_path / ("x" * 200)).status()
