"""Features of network cards that act on packets before the kernel's rules do, by ethtool's ioctls (linux/ethtool.h)."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from typing import Final

_SIOCETHTOOL: Final = 0x8946  # linux/sockios.h
_GSSET_INFO, _GSTRINGS, _GFEATURES = 0x37, 0x1B, 0x3A
_FEATURE_NAMES = 4  # ETH_SS_FEATURES
_NAME_SIZE = 32  # ETH_GSTRING_LEN
_REQUEST = struct.Struct("=16sQ16x")  # ifreq: name, address of the command
_WORD = struct.Struct("=IIII")  # ethtool_get_features_block: available, requested, active, never changed


def active_features(interface: str) -> frozenset[str]:
    """The features that are on, by ethtool's names for them; nothing where the interface is gone or has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        try:
            names = _names(opened, interface)
            words = -(-len(names) // 32)
            answer = _ask(opened, interface, struct.pack("=II", _GFEATURES, words) + bytes(words * _WORD.size))
        except OSError:
            return frozenset()
    active = [block[2] for block in _WORD.iter_unpack(answer[8:])]
    return frozenset(name for place, name in enumerate(names) if active[place // 32] >> place % 32 & 1)


def _names(opened: socket.socket, interface: str) -> list[str]:
    asked = struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _FEATURE_NAMES, 0)
    (count,) = struct.unpack_from("=I", _ask(opened, interface, asked), 16)
    asked = struct.pack("=III", _GSTRINGS, _FEATURE_NAMES, count) + bytes(count * _NAME_SIZE)
    answer = _ask(opened, interface, asked)[12:]
    return [answer[at : at + _NAME_SIZE].split(b"\0")[0].decode() for at in range(0, count * _NAME_SIZE, _NAME_SIZE)]


def _ask(opened: socket.socket, interface: str, command: bytes) -> bytes:
    # the kernel writes its answer over the command, at the address in the request
    memory = array.array("B", command)
    fcntl.ioctl(opened, _SIOCETHTOOL, _REQUEST.pack(interface.encode(), memory.buffer_info()[0]))
    return memory.tobytes()
