"""Real QUIC: an aioquic server and client, each with its event loop in a thread of its host's namespace."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edged.addresses import Family
from edged.kernel.namespace import inside
from edged.lab.topology import Host
from tests.netns.caps.certificates import Certificates
from tests.tiers import require

_CHUNK = bytes(1 << 16)


def aioquic() -> None:
    """Say so where the package is not there."""
    try:
        import aioquic as _  # noqa: F401
    except ImportError as missing:
        require("netns", f"{missing}: `./bootstrap test` installs it")


@dataclass(slots=True)
class Fetch:
    """A transfer under way; `received` counts its bytes as they come in."""

    received: int = 0


@contextmanager
def fetching(server: Host, client: Host, family: Family, port: int, shown: Certificates, name: str, size: int) -> Iterator[Fetch]:
    """`client` fetches `size` bytes from the server of that name while the context lasts."""
    aioquic()
    from aioquic.asyncio.client import connect
    from aioquic.asyncio.server import serve
    from aioquic.quic.configuration import QuicConfiguration

    fetch = Fetch()
    address = str(server.address(family))
    is_served = threading.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readline()
            for start in range(0, size, len(_CHUNK)):
                writer.write(_CHUNK[: size - start])
                await writer.drain()

    async def listen(stop: asyncio.Event) -> None:
        configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
        configuration.load_cert_chain(shown.chain, shown.key)
        kept: set[asyncio.Task[None]] = set()

        def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            kept.add(asyncio.get_running_loop().create_task(answer(reader, writer)))

        listening = await serve(address, port, configuration=configuration, stream_handler=handler)
        is_served.set()
        await stop.wait()
        listening.close()

    async def read(reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 16):
            fetch.received += len(data)

    async def ask(stop: asyncio.Event) -> None:
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=name, idle_timeout=10)
        configuration.load_verify_locations(str(shown.authority))
        async with connect(address, port, configuration=configuration) as connection:
            reader, writer = await connection.create_stream()
            with contextlib.closing(writer):
                writer.write(b"GET /\r\n")
                ends = [asyncio.ensure_future(each) for each in (read(reader), stop.wait())]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    with _looping(server, listen):
        assert is_served.wait(5), "the QUIC server does not listen"
        with _looping(client, ask):
            yield fetch


@contextmanager
def _looping(host: Host, work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run a coroutine in the host's namespace; it is asked to end when the context does.

    It is not cancelled: aioquic's client leaves its socket open then.
    """
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    began = threading.Event()

    async def kept() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        began.set()
        await work(stop)
        await asyncio.sleep(0)  # sockets are closed in the next turn of the loop

    thread = threading.Thread(target=inside, args=(host.netns, lambda: asyncio.run(kept())))
    thread.start()
    began.wait()
    try:
        yield
    finally:
        loop, stop = loops[0]
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stop.set)
        thread.join()
