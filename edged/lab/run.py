"""`edged lab` as a whole: from signals to exit code."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import FrameType

from edged.errors import ExitCode
from edged.lab.report import Report, as_document
from edged.lab.trial import Lab

Publish = Callable[[dict[str, object]], None]

_PAUSE = 2.0


class Rounds(Enum):
    """How long the lab goes on."""

    ONE = "one"
    UNTIL_STOPPED = "until stopped"


def run_lab(configuration: Path, rounds: Rounds, report: Report, publish: Publish) -> ExitCode:
    """Builds the lab, makes its rounds, and removes it; `publish` gets the object of each round.

    DONE only if every attempt of every round came out right. Raises EdgedError where the lab cannot be built. Ctrl-C ends the
    rounds; where one round was asked for and not finished it raises KeyboardInterrupt.
    """
    right = True
    finished = 0
    try:
        with _stopped_by_signals(), Lab(configuration) as lab:
            report.begin(lab)
            try:
                while rounds is Rounds.UNTIL_STOPPED or not finished:
                    if finished:
                        time.sleep(_PAUSE)
                    right = _round(lab, finished + 1, report, publish) and right
                    finished += 1
            finally:
                report.end()
    except KeyboardInterrupt:
        if not finished:
            raise
    return ExitCode.DONE if right else ExitCode.FAILED


def _round(lab: Lab, number: int, report: Report, publish: Publish) -> bool:
    """Makes one round; whether all came out right."""
    began = time.monotonic()
    results = []
    for result in lab.round():
        results.append(result)
        report.result(number, result)
    report.round(number, results)
    publish(as_document(number, results, time.monotonic() - began))
    return not any(result.wrong for result in results)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """The first signal to end is a KeyboardInterrupt; further ones do not disturb the removal of the namespaces."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(_number: int, _frame: FrameType | None) -> None:
        for each in ending:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in ending}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
