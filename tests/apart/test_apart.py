"""The process that reads fetched lists: it says what reading here would say, and there is nothing else that it could do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from edged.addresses import Family
from edged.apart.messages import Failed, Order, Read, line_of, order_of, understood
from edged.apart.reader import parse_apart
from edged.sources.formats import CsvFormat, Plain, parse
from edged.sources.parsed import BadLine, ListRefused, Parsed
from tests.broken_lists.cases import Case, broken_lists, odd_lists
from tests.fetch.processes import CAPABILITIES, NOBODY, children, status

CASES = (*broken_lists(), *odd_lists())
# a process for each case takes its time: all of them in the long form, and of the short one each kind
CHOSEN = CASES if os.environ.get("EDGED_PROFILE") == "long" else CASES[::20]
LARGEST = 64 << 20

Parse = Callable[..., Parsed]


def outcome(how: Parse, case: Case, tmp_path: Path, *, show: bool) -> object:
    """What reading comes to, in comparable form."""
    path = tmp_path / "list"
    with case.open() as file, path.open("wb") as copy:
        while block := file.read(1 << 20):
            copy.write(block)
            if copy.tell() > LARGEST:
                break
    with path.open("rb") as file:
        try:
            parsed = how(case.format, file, show=show, largest=LARGEST)
        except ListRefused as refused:
            return str(refused), refused.reason, refused.line
    columns = [(each.addresses, each.lengths, each.lines) for each in (parsed.entries[family] for family in Family)]
    packed = [np.ascontiguousarray(column).tobytes() for each in columns for column in each]
    return packed, parsed.count, parsed.bad, parsed.bad_count, parsed.sha256


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
def test_it_says_what_reading_here_says(case: Case, tmp_path: Path) -> None:
    for show in (True, False):
        assert outcome(parse_apart, case, tmp_path, show=show) == outcome(parse, case, tmp_path, show=show)


class Looked:
    """A list that comes through a pipe, so that its reader can be looked at while it waits for the rest."""

    def __init__(self) -> None:
        self.outcome: Parsed | ListRefused | None = None
        read_end, self._write_end = os.pipe()
        self._file: BinaryIO = open(read_end, "rb", buffering=0)  # noqa: PTH123, SIM115  a descriptor
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> int:
        """The reader's process, when it has given up what it could do."""
        before = set(children())
        self._thread.start()
        os.write(self._write_end, b"192.0.2.0/24\n")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            for pid in set(children()) - before:
                if status(pid).get("Seccomp") == "2":
                    return pid
            time.sleep(0.01)
        raise AssertionError("no reader with a filter")

    def __exit__(self, *_: object) -> None:
        os.close(self._write_end)
        self._thread.join()
        self._file.close()

    def _read(self) -> None:
        try:
            self.outcome = parse_apart(Plain(), self._file, show=True, largest=LARGEST)
        except ListRefused as refused:
            self.outcome = refused


def test_it_has_no_right_no_descriptor_and_no_process_to_gain() -> None:
    looked = Looked()
    with looked as pid:
        found = status(pid)
        assert {name: found[name] for name in CAPABILITIES} == dict.fromkeys(CAPABILITIES, "0" * 16)
        assert found["NoNewPrivs"] == "1"
        if os.geteuid() == 0:
            assert found["Uid"].split() == found["Gid"].split() == [str(NOBODY)] * 4
            assert found["Groups"] == ""
        assert {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()} == set(range(5))
        limits = {line[:26].strip(): line[26:].split()[:2] for line in Path(f"/proc/{pid}/limits").read_text().splitlines()}
        assert limits["Max open files"] == ["5", "5"]
        assert limits["Max processes"] == ["0", "0"]
        assert limits["Max core file size"] == ["0", "0"]
    assert isinstance(looked.outcome, Parsed)
    assert looked.outcome.count == 1


def test_it_can_open_neither_file_nor_socket_nor_start_a_process() -> None:
    """The very bounds, around a program that tries."""
    attempts = (
        "open('/etc/passwd')",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)",
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_INET)",
        "os.fork()",
    )
    tried = "".join(f"try:\n    {each}\n    print({each!r})\nexcept OSError:\n    pass\n" for each in attempts)
    program = (
        "import os, socket, sys\nfrom edged.apart.__main__ import _confine\n"
        f"from edged.fetch.privileges import give_up\ngive_up(None)\n_confine(0, 1)\n{tried}print('tried')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.stdout == "tried\n", done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_reader_that_dies_is_a_list_refused(number: signal.Signals) -> None:
    looked = Looked()
    with looked as pid:
        os.kill(pid, number)
    assert isinstance(looked.outcome, ListRefused)
    assert str(looked.outcome) == f"the process that reads it was ended by {number.name}"


def test_a_character_set_is_there_when_no_file_can_be_read_any_more(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes("住所\n192.0.2.1\n".encode("iso-2022-jp"))
    with path.open("rb") as file:
        assert parse_apart(CsvFormat(1, charset="iso-2022-jp"), file, show=True, largest=LARGEST).count == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b'{"read": 1}',
        b'{"read": [[1]]}',
        b'{"read": [' + b"[1, 2]," * 99 + b"[1, 2]]}",
        b'{"refused": ["x", "no reason", 1]}',
        b'{"failed": 1}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_none(said: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        understood(said)


def test_an_answer_shows_nothing_that_could_disturb_a_terminal() -> None:
    assert understood(line_of(Failed("a\nb\x1b[2J" + "c" * 5000))) == Failed("a?b?[2J" + "c" * 993)
    assert understood(b'{"read": [[7, "a\\u0000b"]]}') == Read((BadLine(7, "a?b"),))


def test_an_order_comes_as_it_went() -> None:
    order = Order(CsvFormat("address", "length", ";", "utf-16"), True, 5)
    assert order_of(order.argument()) == order
