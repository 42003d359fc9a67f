"""A pcapng with two interfaces of different links."""

from __future__ import annotations

from pcaps._common import ETHERNET, RAW, frame, mixed, pcapng, write


def capture() -> bytes:
    """The bytes of the capture."""
    packets = mixed()
    return pcapng(((number % 2, each if number % 2 else frame(each)) for number, each in enumerate(packets)), (ETHERNET, RAW))


if __name__ == "__main__":
    write(__file__, capture())
