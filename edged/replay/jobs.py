"""Captures spread over processes. What they give comes back in the order of the captures, so no run differs from another."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from tempfile import TemporaryDirectory

from edged.errors import EdgedError
from edged.replay.part import Part, Work

_work: Work  # of a worker process


def spread(work: Work, captures: Sequence[Path], jobs: int, packets: Path | None) -> Iterator[Part]:
    """The parts of the captures, worked out by that many processes; packets' verdicts are put behind that file's end.

    Raises CaptureUnreadable, EdgedError.
    """
    # A forked process has the compiled policy, which cannot be sent to one that was started otherwise.
    context = multiprocessing.get_context("fork")
    with TemporaryDirectory(prefix=".edged-replay-", dir=packets.parent if packets else None) as folder:
        beside = [Path(folder) / str(place) if packets else None for place in range(len(captures))]
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(work,))
        try:
            for part, own in zip(pool.map(_part, range(len(captures)), captures, beside), beside, strict=True):
                if packets is not None and own is not None:
                    _move_behind(own, packets)
                yield part
        except BrokenProcessPool as error:
            raise EdgedError("a process that replayed a capture was killed; is there memory for so many --jobs?") from error
        finally:
            for process in multiprocessing.active_children():
                process.terminate()  # what was not asked for any more; those that are done wait for nothing
            pool.shutdown(cancel_futures=True)


def _begin(work: Work) -> None:
    global _work  # noqa: PLW0603  a process has one
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells all of us; the first process ends the others


def _part(place: int, path: Path, packets: Path | None) -> Part:
    return _work.part(place, path, packets)


def _move_behind(source: Path, target: Path) -> None:
    with source.open("rb") as begin, target.open("ab") as end:
        shutil.copyfileobj(begin, end)
    source.unlink()
