"""The downloading process, `python -I -B -m edged.fetch DESCRIPTOR`: the order on stdin, the answer on stdout.

Whatever it needs is imported before it gives up its privileges: as nobody it may be unable to read edged's own folder.
"""

from __future__ import annotations

import sys
from types import TracebackType

from edged.fetch.confine import confine
from edged.fetch.download import DownloadFailed, download
from edged.fetch.messages import Answer, Failure, line_of, order_of
from edged.fetch.privileges import give_up
from edged.privileges import NotGivenUp

_ANEW = "anew"


def main() -> None:
    """Does what the order says, and answers."""
    sys.stdout.buffer.write(line_of(_answer(sys.argv[1:])))
    sys.stdout.buffer.flush()


def _answer(arguments: list[str]) -> Answer | Failure:
    started_anew = arguments[1:] == [_ANEW]
    try:
        give_up(None if started_anew else [*sys.orig_argv, _ANEW])
        order = order_of(sys.stdin.buffer.readline())
        confine(order)
        return download(order, int(arguments[0]))
    except NotGivenUp as still:
        return Failure(f"the process that downloads did not go to the network: {still}")
    except DownloadFailed as failed:
        return Failure(str(failed))
    except Exception as unexpected:  # noqa: BLE001  a traceback would carry the URL, with its token, into the log
        return Failure(f"a fault in edged: {type(unexpected).__name__} at {_place(unexpected.__traceback__)}; please report it")


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


if __name__ == "__main__":
    main()
