"""A listed IPv6 prefix."""

from __future__ import annotations

from pcaps._common import HOME6, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    listed = ("2001:db8:66::", "2001:db8:66:ffff:ffff:ffff:ffff:ffff")
    beside = ("2001:db8:65:ffff:ffff:ffff:ffff:ffff", "2001:db8:67::")
    both = (*listed, *beside)
    return ethernet([*(tcp(HOME6, 40001, each, 443) for each in both), *(tcp(each, 40002, HOME6, 22) for each in both)])


if __name__ == "__main__":
    write(__file__, capture())
