"""The commands' end of the control socket. Standard library only: `edged status` has no time for more.

What the daemon says no to comes back as DaemonRefused with the daemon's own words and exit code; where no daemon answers at all,
Unreachable says why and what to do.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edged.control.asked import Guards
from edged.control.messages import Asked, Changes, Confirmed, Failure, Standing, Status, Top, TornDown
from edged.errors import EdgedError, ExitCode, Unreachable

if TYPE_CHECKING:
    from edged.lockout.farend import Login

# reading is answered at once; a change waits for the kernel, and behind a long batch it may wait for seconds
READ_TIMEOUT = 5.0
CHANGE_TIMEOUT = 60.0


class NoDaemon(Unreachable):
    """Nobody listens on the control socket: no daemon runs with this configuration."""


class DaemonRefused(EdgedError):
    """The daemon answered, and did not do what it was asked; `problems` are those of its files, one line each."""

    def __init__(self, text: str, exit_code: ExitCode, problems: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        self.problems = problems


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("edged", timeout=timeout)
        self._path = path
        self._patience = timeout

    def connect(self) -> None:
        """Connect to the socket's path; raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # blocking, so that the kernel waits where others fill the backlog; a socket with a timeout of Python's hears EAGAIN
        until = struct.pack("@ll", int(self._patience), 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, until)
        try:
            self.sock.connect(str(self._path))
        except BlockingIOError as late:
            raise TimeoutError from late
        self.sock.settimeout(self._patience)


class ControlClient:
    """The daemon behind one control socket. Every method raises Unreachable or DaemonRefused."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def status(self) -> Status:
        """What the daemon does and sees now."""
        return cast("Status", self._ask("GET", "/v1/status", None, READ_TIMEOUT))

    def top(self, limit: int) -> Top:
        """Who uses most of what is capped, at most so many."""
        return cast("Top", self._ask("GET", f"/v1/top?limit={limit}", None, READ_TIMEOUT))

    def blocklist_test(self, address: str) -> Standing:
        """How an address stands with the blocklist. The address goes in the body: it is in no request line that is logged."""
        return cast("Standing", self._ask("POST", "/v1/blocklist/test", {"address": address}, READ_TIMEOUT))

    def blocklist_update(self) -> Asked:
        """Have the lists' addresses on the web asked now; it does not wait for what they say."""
        return cast("Asked", self._ask("POST", "/v1/blocklist/update", {}, READ_TIMEOUT))

    def reload(self, login: Login | None = None) -> Changes:
        """Have the files taken anew, asked for over that login; returns when the kernel holds what they ask for."""
        return cast("Changes", self._ask("POST", "/v1/reload", {"login": _words(login)}, CHANGE_TIMEOUT))

    def apply(self, confirm_seconds: float | None, login: Login | None = None, guards: Guards = Guards.HELD) -> Changes:
        """The same as reload, rolled back after `confirm_seconds` unless confirm comes (None: it stays)."""
        body = {"confirm_seconds": confirm_seconds, "login": _words(login), "guards": guards.value}
        return cast("Changes", self._ask("POST", "/v1/apply", body, CHANGE_TIMEOUT))

    def confirm(self) -> Confirmed:
        """Keep the change that waits."""
        return cast("Confirmed", self._ask("POST", "/v1/confirm", {}, CHANGE_TIMEOUT))

    def rollback(self) -> Changes:
        """Take the change that waits back at once."""
        return cast("Changes", self._ask("POST", "/v1/rollback", {}, CHANGE_TIMEOUT))

    def teardown(self) -> TornDown:
        """Have all that edged made in the kernel removed; the daemon stays."""
        return cast("TornDown", self._ask("POST", "/v1/teardown", {}, CHANGE_TIMEOUT))

    def _ask(self, method: str, target: str, content: Mapping[str, object] | None, timeout: float) -> object:
        connection = _UnixConnection(self.path, timeout)
        body = None if content is None else json.dumps(content)
        try:
            connection.request(method, target, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            answer: Any = json.loads(response.read())
        except OSError as error:
            raise _unreachable(self.path, error, method) from error
        except (http.client.HTTPException, ValueError) as error:
            raise Unreachable(
                f"what answers on {self.path} is not edged's daemon ({error}); is `control:` the right path?"
            ) from error
        finally:
            connection.close()
        if response.status // 100 != 2:
            raise _refusal(response.status, answer)
        return answer


def _words(login: Login | None) -> str | None:
    return None if login is None else str(login)


def _unreachable(path: Path, error: OSError, method: str) -> Unreachable:
    """The same failure, said so that the reader knows what still holds and what to do."""
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return NoDaemon(
            f"no edged daemon answers on {path}. What it last applied, if anything, is still in force in "
            "the kernel. Start it: systemctl start edged (its log: journalctl -u edged; wrong files: edged check); "
            "`edged plan` looks at the kernel without it."
        )
    if isinstance(error, PermissionError):
        return Unreachable(f"no permission to reach {path}: look at the folders that it is in, or sudo")
    if isinstance(error, TimeoutError):
        unknown = "" if method == "GET" else " Whether it did what was asked is not known: see `edged status`."
        return Unreachable(f"the daemon on {path} does not answer in time.{unknown} Its log: journalctl -u edged")
    return Unreachable(f"cannot talk to the daemon on {path}: {error.strerror or error}. Its log: journalctl -u edged")


def _refusal(status: int, answer: object) -> DaemonRefused:
    said = cast("Failure", answer if isinstance(answer, dict) else {})
    try:
        code = ExitCode(said.get("exit_code", ExitCode.FAILED))
    except ValueError:
        code = ExitCode.FAILED
    text = str(said.get("error") or f"the daemon answered with HTTP status {status} and no reason")
    return DaemonRefused(text, code, tuple(said.get("problems", ())))
