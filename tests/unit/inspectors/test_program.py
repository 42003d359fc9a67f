"""The program that workers are: what it needs it has before it gives its rights up."""

from __future__ import annotations

import struct
import subprocess
import sys

from tests.unit.inspect.names.hellos import named
from tests.unit.inspect.names.initials import crypto, initial
from tests.unit.packet.frames import ipv4

INSPECT = """
import sys
import edged.inspectors.__main__ as program
from edged.packet.decode import RAW, decode

data = bytes.fromhex(sys.argv[1])
inspector, packet = program._make(b""), decode(data, RAW)
before = set(sys.modules)
print(inspector.feed(0, packet, data).host)
print(*sorted(set(sys.modules) - before))
"""


def test_nothing_is_imported_for_the_first_packet() -> None:
    """As nobody a worker may be unable to read edged's own folder, and would fail at each QUIC flow."""
    hello = initial(crypto(0, named()), size=1200)
    packet = ipv4(struct.pack("!4H", 50_000, 443, 8 + len(hello), 0) + hello, 17)
    command = [sys.executable, "-c", INSPECT, packet.hex()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["www.example.com", ""]
