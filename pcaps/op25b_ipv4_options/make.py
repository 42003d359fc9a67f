"""Port 25 behind IPv4 options."""

from __future__ import annotations

from scapy.layers.inet import TCP, IPOption, IPOption_NOP

from pcaps._common import HOME, MAIL, WEB, ethernet, ip, write


def capture() -> bytes:
    """The bytes of the capture."""
    options = [IPOption_NOP() for _ in range(4)]
    smtp = ip(HOME, MAIL, options=options) / TCP(sport=40001, dport=25, seq=1000, window=64240)
    answer = ip(MAIL, HOME, options=options) / TCP(sport=25, dport=40001, flags="SA", seq=2000, ack=1001, window=64240)
    disguised = ip(HOME, WEB, options=[IPOption(b"\x01\x01\x00\x19")]) / TCP(sport=40002, dport=80, seq=1000, window=64240)
    return ethernet([smtp, answer, disguised])


if __name__ == "__main__":
    write(__file__, capture())
