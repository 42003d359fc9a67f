"""The HTTP server of the metrics page: a thread with an event loop of its own, one scrape after the other."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from edged.config.metrics import Listen
from edged.reception import Reception

_log = logging.getLogger(__name__)


def serve_registry(listen: Listen, registry: CollectorRegistry) -> Callable[[], None]:
    """Serve what the registry collects from now on, and give what ends it. Raises OSError where the address cannot be used."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    listener = socket.create_server((listen.host, listen.port), family=family, backlog=128)
    listener.setblocking(False)  # noqa: FBT003  positional only
    loop = asyncio.new_event_loop()
    serving = loop.create_task(_serve(listener, registry))
    thread = Thread(target=_run, args=(loop, serving), name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join()

    return stop


def _run(loop: asyncio.AbstractEventLoop, serving: asyncio.Task[None]) -> None:
    try:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)
    finally:
        loop.close()


async def _serve(listener: socket.socket, registry: CollectorRegistry) -> None:
    """Serve until cancelled."""
    reception = Reception("metrics", listener)
    runner = web.AppRunner(_application(registry, reception), access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    assert runner.server is not None  # noqa: S101  it is set up
    try:
        await reception.run(runner.server)
    finally:
        await runner.cleanup()
        listener.close()


def _application(registry: CollectorRegistry, reception: Reception) -> web.Application:
    async def page(request: web.Request) -> web.Response:
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        try:
            return web.Response(body=encode(registry), headers={"Content-Type": kind})
        except Exception as error:  # edged's own fault must not go unseen: a scrape has no other reader
            _log.exception("metrics: a scrape failed")
            raise web.HTTPInternalServerError(text="the scrape failed; the daemon's log says why") from error

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/metrics", page)
    reception.guard(app)
    return app
