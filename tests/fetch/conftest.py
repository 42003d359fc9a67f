"""Certificates, servers, and one way to fetch from them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.fetch.client import Answer, Request, fetch
from tests.fetch.authority import Authority, Certificate
from tests.fetch.server import Server, serving

LONG_AGO, FAR_OFF = "20200101000000Z", "20400101000000Z"

Fetching = Callable[..., tuple[Answer, bytes]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert shutil.which("openssl"), "needs the command openssl: `./bootstrap test` installs it"
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def authority(folder: Path) -> Authority:
    return Authority(folder / "trusted")


@pytest.fixture(scope="session")
def certificates(folder: Path, authority: Authority) -> dict[str, Certificate]:
    here = "IP:127.0.0.1"
    return {
        "good": authority.certificate("good", here, LONG_AGO, FAR_OFF),
        "expired": authority.certificate("expired", here, LONG_AGO, "20210101000000Z"),
        "future": authority.certificate("future", here, "20390101000000Z", FAR_OFF),
        "other host": authority.certificate("other", "DNS:other.example", LONG_AGO, FAR_OFF),
        "other address": authority.certificate("address", "IP:192.0.2.1", LONG_AGO, FAR_OFF),
        "unknown authority": Authority(folder / "unknown").certificate("unknown", here, LONG_AGO, FAR_OFF),
    }


@pytest.fixture
def server(certificates: dict[str, Certificate]) -> Iterator[Server]:
    with serving(certificates["good"]) as running:
        yield running


@pytest.fixture
def fetching(authority: Authority, tmp_path: Path) -> Fetching:
    """Fetches a URL with whatever else a Request takes; the answer and what was written."""

    def fetched(url: str, **settings: Any) -> tuple[Answer, bytes]:
        path = tmp_path / "fetched"
        with path.open("wb") as into:
            answer = asyncio.run(fetch(Request(url, **{"ca": authority.pem, "seconds": 10, **settings}), into))
        return answer, path.read_bytes()

    return fetched
