"""A control socket with real peers: the daemon's server over a service that only notes what it was asked."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

import pytest
from aiohttp import web

from edged.config.control import Control
from edged.control.door import Doors
from edged.control.listener import listen
from edged.control.rights import rights_of
from edged.control.server import Service, application
from edged.reception import Reception
from tests.tiers import require

# groups of every Debian machine, as operators' and readers'
GROUPS = Control(group="daemon", readers="games")


class Noting:
    """A service that does nothing; `asked` are its operations, in their order."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def answer(*_: object) -> dict[str, object]:
            self.asked.append(name)
            return {"did": name}

        return answer


class Socket:
    """The served socket, in a thread with a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "control.sock"
        self.service = Noting()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._call(self._serve())

    def ask(self, method: str, target: str, *, uid: int, gid: int, groups: tuple[int, ...] = ()) -> tuple[int, dict[str, Any]]:
        """HTTP's status and answer, asked by a process with exactly these credentials."""
        body = ("-d", "{}") if method == "POST" else ()
        done = subprocess.run(
            ["curl", "-s", "-m", "10", "-w", "%{http_code}", "--unix-socket", str(self.path), *body, f"http://edged/v1/{target}"],
            capture_output=True,
            text=True,
            check=True,
            user=uid,
            group=gid,
            extra_groups=groups,
        )
        return int(done.stdout[-3:]), json.loads(done.stdout[:-3])

    def close(self) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        rights = rights_of(GROUPS)
        self._listener = listen(self.path)
        reception = Reception("control", self._listener)
        self._runner = web.AppRunner(application(cast("Service", self.service), lambda: rights, reception), access_log=None)
        await self._runner.setup()
        assert self._runner.server is not None
        self._answering = asyncio.create_task(reception.run(Doors(lambda: rights, self._runner.server)))

    async def _end(self) -> None:
        self._answering.cancel()
        await self._runner.cleanup()
        self._listener.close()

    def _call(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)


@pytest.fixture
def control() -> Iterator[Socket]:
    if os.geteuid() != 0:
        require("netns", "needs root (peers of other users)")
    folder = Path(mkdtemp(prefix="edged-control-"))
    folder.chmod(0o755)
    made = Socket(folder)
    yield made
    made.close()
    made.path.unlink(missing_ok=True)
    folder.rmdir()
