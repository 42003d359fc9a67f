"""A worker with a small inspector of its own: `python inspector_program.py ORDER`; the settings say how it behaves.

It knows flows by their addresses and ports. The first packet with payload decides one: what begins with 0x13 and "BitTorrent" is
p2p, "RTSP/1.0" is streaming, "?" is never decided, all else is other. A flow to the port of `slow` takes its seconds a packet.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from edged.inspect.sight import Endpoint, TrafficClass
from edged.inspectors.worker import main
from edged.packet.segment import OVER_IPV6, Segment

SIGNS = {b"\x13BitTorrent": TrafficClass.P2P, b"RTSP/1.0": TrafficClass.STREAMING}


class Decision(NamedTuple):
    traffic_class: TrafficClass | None
    final: bool = True


class FirstPayload:
    """`slow`: seconds that each packet takes; `fault`: a word that it stumbles over."""

    def __init__(self, settings: bytes) -> None:
        said = json.loads(settings or b"{}")
        self._slow: float = said.get("slow", 0)
        self._hoard: list[bytes] = []
        self._named: list[Endpoint] = []
        self._known: set[Endpoint] = set()
        self._flows: set[tuple[int, int, int, int]] = set()

    @property
    def decided(self) -> int:
        return len(self._flows)

    def take(self, now_ns: int, segment: Segment, data: bytes) -> Decision | None:
        if self._slow:
            time.sleep(self._slow)
        payload = data[segment.at : segment.end]
        server = Endpoint(segment.kind >= OVER_IPV6, segment.destination, segment.destination_port)
        match payload[:5]:
            case b"":
                return None
            case b"raise":
                raise ValueError(payload)
            case b"hoard":
                while True:
                    self._hoard.append(bytes(16 << 20))
            case b"hangs":
                while True:
                    pass
            case b"named":
                self._named.append(server)
        if server not in self._known and payload.startswith((b"?", b"named")):
            return None
        self._flows.add((segment.source, segment.source_port, segment.destination, segment.destination_port))
        if server in self._known:
            return Decision(TrafficClass.P2P)
        return Decision(next((each for sign, each in SIGNS.items() if payload.startswith(sign)), None))

    def learn(self, now_ns: int, peers: Sequence[Endpoint]) -> None:
        self._known.update(peers)

    def learnt(self) -> Sequence[Endpoint]:
        named, self._named = self._named, []
        return named


if __name__ == "__main__":
    sys.exit(main(FirstPayload))
