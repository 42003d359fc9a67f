"""What the lab looks at and sets inside a network namespace, without a process of its own there.

/proc/sys/net shows the namespace of the thread that reads it (net/sysctl_net.c).
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from edged.kernel.namespace import inside

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_RUNNING = 0x40  # linux/if.h: operational, in the words of RFC 2863


def open_socket(netns: str, family: socket.AddressFamily, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    """A socket of the namespace, for use from any thread."""
    return inside(netns, lambda: socket.socket(family, kind, protocol))


def carries(netns: str, interface: str) -> bool:
    """Whether the interface is up and its link too; before that the kernel throws away what is sent."""
    with open_socket(netns, socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH22x", interface.encode(), 0))
    return bool(struct.unpack("16xH22x", answer)[0] & _IFF_RUNNING)


def set_sysctls(netns: str, values: Mapping[str, str]) -> None:
    """Writes the namespace's own settings, named by their path under /proc/sys."""

    def write() -> None:
        for path, value in values.items():
            Path("/proc/sys", path).write_text(value)

    inside(netns, write)
