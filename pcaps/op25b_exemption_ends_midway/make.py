"""An exemption ends in the middle of a conversation."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, STEP, conversation, ethernet, write

UNTIL = 1_924_905_600 * 10**9  # 2030-12-31T00:00:00Z, as the policy has it


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(conversation(HOME, 40001, MAIL, 25), begin=UNTIL - 3 * STEP)


if __name__ == "__main__":
    write(__file__, capture())
