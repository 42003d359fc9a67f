"""Servers of this process with their sockets in a host's namespace, a thread a connection, for as long as a context lasts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edged.addresses import Family
from edged.lab.topology import Host
from tests.netns.topology import INET

Serve = Callable[[socket.socket], None]  # a connection from its beginning to its end; an OSError ends it


@contextmanager
def serving(host: Host, family: Family, port: int, serve: Serve) -> Iterator[None]:
    """Accept at that port of the host's address."""
    with host.socket(INET[family], socket.SOCK_STREAM) as listener, contextlib.ExitStack() as opened:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(host.address(family)), port))
        listener.listen(16)
        thread = threading.Thread(target=_accept, args=(listener, serve, opened))
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, serve: Serve, opened: contextlib.ExitStack) -> None:
    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            serve(connection)

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        thread = threading.Thread(target=one, args=(connection,))
        opened.callback(thread.join)
        opened.callback(_hang_up, connection)
        thread.start()


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
