"""The transport protocols that have ports, as rules and detectors name them."""

from __future__ import annotations

from enum import Enum


class Transport(Enum):
    """A transport protocol with ports, by its IP protocol number."""

    TCP = 6
    UDP = 17

    @property
    def label(self) -> str:
        """The protocol's name in nft and on the command line."""
        return self.name.lower()
