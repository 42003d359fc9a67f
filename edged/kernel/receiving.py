"""What is left in a netlink socket where an answer could not be received."""

from __future__ import annotations

import socket

_ENOUGH = 1 << 16  # of the kernel's parts of a dump, 32 KiB each


def drain(opened: socket.socket, buffer: memoryview) -> None:
    """Take out and forget what still comes: the kernel begins no dump (EBUSY) while it has not come to the end of another."""
    for _ in range(_ENOUGH):
        try:
            opened.recv_into(buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            continue  # such as of a part that there was no memory for; the dump goes on behind it
