"""Reading a list from the daemon's side: a process is started for it, bounded, and what it says is not believed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import BinaryIO, assert_never

from edged.apart.messages import LONGEST_ANSWER, Answer, Failed, Order, Read, understood
from edged.errors import EdgedError
from edged.sources.formats import Format
from edged.sources.parsed import ListRefused, Parsed, Reason
from edged.sources.stored import StoredList, load

_SECONDS = 180.0
# threads would be processes to the kernel's limit, and are of no use here
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}


def parse_apart(format: Format, file: BinaryIO, *, show: bool, largest: int) -> Parsed:  # noqa: A002  the field's word
    """What `sources.formats.parse` says of the file, read by a process without privileges. Raises ListRefused."""
    order = Order(format, show, largest)
    with ExitStack() as opened:
        entries = opened.enter_context(open(os.memfd_create("edged-entries"), "rb"))  # noqa: PTH123  a descriptor
        said = opened.enter_context(open(os.memfd_create("edged-answer"), "rb"))  # noqa: PTH123
        status = _run(order, file.fileno(), entries.fileno(), said.fileno())
        said.seek(0)
        answer = _answer(status, said.read(LONGEST_ANSWER))  # what is longer is cut, and no answer then
        match answer:
            case ListRefused():
                raise answer
            case Failed(text):
                raise ListRefused(text, Reason.UNREADABLE)
            case Read(bad):
                entries.seek(0)
                stored = _entries(entries)
                return Parsed(stored.entries, stored.count, bad, stored.bad_count, stored.sha256)
            case _:
                assert_never(answer)


def _run(order: Order, file: int, entries: int, said: int) -> int:
    """The process's exit status; negative: the signal that ended it. Raises ListRefused where it cannot be started."""
    command = [sys.executable, "-I", "-B", "-m", "edged.apart", order.argument(), str(file), str(entries)]
    try:
        process = subprocess.Popen(  # noqa: S603  this very program
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.DEVNULL,
            pass_fds=(file, entries),
            env=_ENVIRONMENT,
            cwd="/",
            umask=0o077,
            start_new_session=True,
        )
    except OSError as failed:
        raise ListRefused(f"no process can be started to read it: {failed.strerror}", Reason.UNREADABLE) from failed
    try:
        return process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        raise ListRefused(f"it was not read in {_SECONDS:.0f} s", Reason.UNREADABLE) from None
    finally:
        process.kill()
        process.wait()


def _answer(status: int, said: bytes) -> Answer:
    if status != 0:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        return Failed(f"the process that reads it {how}")
    try:
        return understood(said)
    except (ValueError, RecursionError):
        return Failed("the process that reads it says what is no answer; please report it")


def _entries(file: BinaryIO) -> StoredList:
    """The entries, checked as those of a file on a disk that nobody trusts. Raises ListRefused."""
    try:
        return load(file)
    except EdgedError as error:
        raise ListRefused(f"what the process that reads it made of it is {error}; please report it", Reason.UNREADABLE) from error
