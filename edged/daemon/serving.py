"""What the daemon serves: the metrics page and the control socket. Imported when the policy is in force: it takes 0.3 s."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

from edged.configuration import Configuration
from edged.control.door import Doors
from edged.control.rights import Rights, rights_of
from edged.control.server import Service, application
from edged.metrics.figures import Figures
from edged.metrics.gate import GateKeeper
from edged.metrics.page import application as page
from edged.metrics.server import serve
from edged.reception import Reception


class RightsWatch:
    """The rights by the configuration in force; groups are looked up anew with each reload of it."""

    def __init__(self, present: Callable[[], Configuration]) -> None:
        self._present = present
        self._of = present()
        self._rights = rights_of(self._of.edged.control)

    def __call__(self) -> Rights:
        """The rights now."""
        present = self._present()
        if present.edged is not self._of.edged:
            self._of, self._rights = present, rights_of(present.edged.control)
        return self._rights


class Serving(NamedTuple):
    """How it stands with the metrics page, and what takes in connections to the control socket until it is cancelled."""

    metrics: GateKeeper
    answering: Coroutine[None, None, None]


@asynccontextmanager
async def served(
    control: socket.socket,
    service: Service,
    figures: Callable[[], Figures],
    first: Configuration,
    present: Callable[[], Configuration],
) -> AsyncIterator[Serving]:
    """Serve both. Raises EdgedError where the metrics' address cannot be used."""
    keeper = GateKeeper(lambda: present().edged.metrics)
    end_metrics = serve(first.edged.metrics.listen, page(figures), keeper)
    rights, reception = RightsWatch(present), Reception("control", control)
    runner = web.AppRunner(application(service, rights, reception), access_log=None, handle_signals=False, shutdown_timeout=5)
    await runner.setup()
    assert runner.server is not None  # noqa: S101  for mypy: it is made in setup
    try:
        yield Serving(keeper, reception.run(Doors(rights, runner.server)))
    finally:
        await runner.cleanup()
        await asyncio.to_thread(end_metrics)
