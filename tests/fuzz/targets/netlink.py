"""What the kernel sends: nothing a stranger writes, but parts of it are his (names of processes, comments, rules' bodies)."""

from __future__ import annotations

from edged.addresses import Family
from edged.kernel import flowmessages, leasemessages
from edged.kernel.attrs import attribute, be32, be64, nest, number, signed, string, text
from edged.kernel.elements import decode_elements
from edged.kernel.identity import body_digest, comment_in, fingerprint_in, note_in, userdata
from edged.kernel.messages import pack, refusal, unpack
from tests.fuzz.target import Target
from tests.unit.kernel.test_flowmessages import FAR, INSIDE, OUTSIDE, ends, tcp

_ERROR, _ERROR_SIZE = 2, 20  # NLMSG_ERROR and struct nlmsgerr, which the kernel fills as a whole
_NOW = 1_800_000_000.0


def run(data: bytes) -> None:
    """As a datagram of messages, and each message's attributes wherever one is read."""
    for reply in unpack(memoryview(data)):
        if reply.kind == _ERROR and len(reply.body) >= _ERROR_SIZE:
            refusal(reply)
        flowmessages.decode(reply)
        for payload in (fields := reply.attributes).values():
            number(payload)
            signed(payload)
            string(payload)
            body_digest(payload)
            comment_in(payload)
            note_in(payload)
            fingerprint_in(payload, payload)
            for family in Family:
                decode_elements(family, [payload], _NOW)
            leasemessages.decode_keys([payload])
            leasemessages.decode_leases([payload])
            leasemessages.decode_policed([payload])
        leasemessages.decode_bucket("edged", fields)


def _flow() -> bytes:
    return ends(1, INSIDE, FAR, *tcp(50_000, 443)) + ends(2, FAR, OUTSIDE, *tcp(443, 50_000))


TARGET = Target(
    11,
    run,
    (
        pack(0x0100, 0, 1, _flow() + be32(8, 7), family=2),
        pack(0x0A06, 0, 1, text(1, "edged") + attribute(7, userdata("edged:op25b:0123456789abcdef:0123456789abcdef"))),
        pack(0x0A0C, 0, 1, nest(1, nest(1, nest(1, attribute(1, b"\xcb\x00\x71\x09")), be64(4, 60_000), be32(3, 1)))),
        pack(2, 0, 1, b"\xff\xff\xff\xea" + bytes(16)),
    ),
)
