"""The metrics page on loopback, with an authority and certificates made for the run, and curl as whoever asks."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from edged.config.metrics import Listen, Metrics, Tls
from edged.credentials.passwords import hashed
from edged.metrics.gate import GateKeeper
from edged.metrics.server import serve
from tests.fetch.authority import Authority, Certificate

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PASSWORD = "tr0ub4dor&3"
BODY = b"edged_enforcement_in_sync 1.0\n"


class Answer(NamedTuple):
    """What curl got: its exit status, HTTP's status ("000": none), and the body."""

    curl: int
    status: str
    body: str


class Page:
    """A served page whose settings a test may change while it is served."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.authority = authority
        self.settings = Metrics()
        self.keeper = GateKeeper(lambda: self.settings)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.listen = Listen("127.0.0.1", probe.getsockname()[1])
        self._stop: Callable[[], None] | None = None

    def serve(self, **settings: object) -> None:
        """Serve with these settings from now on."""
        self.settings = Metrics.model_validate(settings)
        if self._stop is None:
            self._stop = serve(self.listen, self._answer, self.keeper)

    def _answer(self, _: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [BODY]

    def tls(self, *, clients: bool = False) -> Tls:
        """The section `tls` with files in the folder."""
        made = certificate(self.authority, "page", "IP:127.0.0.1")
        for source, name in ((made.chain, "page.pem"), (made.key, "page.key")):
            (self.folder / name).write_bytes(source.read_bytes())
        ca = {"client_ca_file": self.authority.pem} if clients else {}
        return Tls.model_validate({"cert_file": self.folder / "page.pem", "key_file": self.folder / "page.key", **ca})

    def users(self) -> Path:
        """A file with the user prometheus."""
        path = self.folder / "metrics.users"
        path.write_text(f"prometheus:{hashed(PASSWORD)}\n")
        return path

    def ask(self, *options: str, scheme: str = "https") -> Answer:
        """What curl gets with these options."""
        url = f"{scheme}://{self.listen}/metrics"
        trusted = ("--cacert", str(self.authority.pem)) if scheme == "https" else ()
        done = subprocess.run(
            ["curl", "-s", "--noproxy", "*", "-m", "10", "-w", "%{http_code}", *trusted, *options, url],
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout[-3:], done.stdout[:-3])

    def stop(self) -> None:
        if self._stop is not None:
            self._stop()


def certificate(authority: Authority, name: str, subject: str) -> Certificate:
    """One that is good now."""
    now = datetime.now(UTC)
    start, end = (f"{now + shift:%Y%m%d%H%M%SZ}" for shift in (-timedelta(hours=1), timedelta(days=1)))
    return authority.certificate(name, subject, start, end)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities") / "ours")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the page does not know."""
    return Authority(tmp_path_factory.mktemp("authorities") / "theirs")


@pytest.fixture
def page(tmp_path: Path, authority: Authority) -> Iterator[Page]:
    made = Page(tmp_path, authority)
    yield made
    made.stop()
