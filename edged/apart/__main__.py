"""The process that reads a list, `python -I -B -m edged.apart ORDER LIST INTO`: two descriptors, the answer on stdout.

Whatever it needs is imported, and whatever descriptor it needs is where it must be, before it gives up what it could do.
"""

from __future__ import annotations

import fcntl
import os
import resource
import sys
from types import TracebackType

from edged.apart.messages import Failed, line_of, order_of
from edged.fetch.privileges import give_up
from edged.privileges import NotGivenUp, bound
from edged.seccomp import only_sockets
from edged.sources.formats import parse
from edged.sources.parsed import ListRefused, Parsed
from edged.sources.stored import StoredList, dump

_ANEW = "anew"
_LIST, _INTO, _DESCRIPTORS = 3, 4, 5
_MEBIBYTE = 1 << 20
_SECONDS = 120  # of the processor's time
_MEMORY = 2048 * _MEBIBYTE  # 10 million entries, while they are read, and what numpy maps
_LARGEST_ENTRIES = 256 * _MEBIBYTE  # 10 million of 21 bytes


def main() -> None:
    """Reads as the order says, and answers."""
    sys.stdout.buffer.write(line_of(_answer(sys.argv[1:])))
    sys.stdout.buffer.flush()


def _answer(arguments: list[str]) -> Parsed | ListRefused | Failed:
    try:
        order = order_of(arguments[0])  # which reads a character set's module too, while there is a way to it
        give_up(None if arguments[3:] == [_ANEW] else [*sys.orig_argv, _ANEW])
        _confine(int(arguments[1]), int(arguments[2]))
        with open(_LIST, "rb", closefd=False) as file:
            parsed = parse(order.format, file, show=order.show, largest=order.largest)
        with open(_INTO, "wb", closefd=False) as into:
            dump(StoredList("", parsed.entries, parsed.count, parsed.bad_count, parsed.sha256, 0.0, ""), into)
    except NotGivenUp as still:
        return Failed(f"the process that reads it did not look at it: {still}")
    except ListRefused as refused:
        return refused
    except Exception as unexpected:  # noqa: BLE001  a traceback could carry the list's content into the log
        return Failed(f"a fault in edged: {type(unexpected).__name__} at {_place(unexpected.__traceback__)}; please report it")
    else:
        return parsed


def _confine(file: int, into: int) -> None:
    """Leaves this process the two descriptors and its standard ones, and no way to any other. Raises NotGivenUp."""
    high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (file, into)]
    for each, place in zip(high, (_LIST, _INTO), strict=True):
        os.dup2(each, place)
    os.closerange(_DESCRIPTORS, 1 << 16)
    bound(
        {
            resource.RLIMIT_NOFILE: _DESCRIPTORS,
            resource.RLIMIT_FSIZE: _LARGEST_ENTRIES,
            resource.RLIMIT_AS: _MEMORY,
            resource.RLIMIT_CPU: _SECONDS,
            resource.RLIMIT_NPROC: 0,
            resource.RLIMIT_CORE: 0,
        }
    )
    only_sockets(())


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


if __name__ == "__main__":
    main()
