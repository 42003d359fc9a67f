"""Who is taken in where all who are in have come to be answered since the last look at the room."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from edged.admission import Admission
from edged.reception import Reception


def test_a_connection_that_was_awaited_while_all_came_to_be_answered_ends_nothing(tmp_path: Path) -> None:
    async def taken() -> int:
        reception = Reception("control", listener)
        reception._admission = Admission(0, 5.0)  # as if all places were of those who are being answered
        await reception._take_one(asyncio.Protocol)
        guests = reception._admission.guests
        reception._send_away(*guests)
        return len(guests)

    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "control"))
        listener.listen()
        listener.setblocking(False)
        client.connect(str(tmp_path / "control"))
        assert asyncio.run(taken()) == 1
