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
from edged.lab.document import as_document
from edged.lab.report import Report
from edged.lab.trial import Lab

Publish = Callable[[dict[str, object]], None]

_PAUSE = 2.0


class Rounds(Enum):
    """How long the lab goes on."""

    ONE = "one"
    UNTIL_STOPPED = "until stopped"


def run_lab(configuration: Path, rounds: Rounds, report: Report, publish: Publish) -> ExitCode:
    """Builds the lab, makes its rounds, and removes it; `publish` gets the object of each round.

    DONE only if every attempt of every whole round came out right. Raises EdgedError where the lab cannot be built. Ctrl-C ends
    the rounds; before the first one is over, and where one was asked for, it raises KeyboardInterrupt.
    """
    outcomes: list[bool] = []
    try:
        with _stopped_by_signals(), Lab(configuration) as lab:
            report.begin(lab)
            try:
                while rounds is Rounds.UNTIL_STOPPED or not outcomes:
                    if outcomes:
                        time.sleep(_PAUSE)
                    _round(lab, outcomes, report, publish)
            finally:
                report.end()
    except KeyboardInterrupt:
        if rounds is Rounds.ONE or not outcomes:
            raise
    return ExitCode.DONE if all(outcomes) else ExitCode.FAILED


def _round(lab: Lab, outcomes: list[bool], report: Report, publish: Publish) -> None:
    """Makes one round and adds to the outcomes whether all of it came out right."""
    number, began = len(outcomes) + 1, time.monotonic()
    results = []
    for result in lab.round():
        results.append(result)
        report.result(number, result)
    outcomes.append(not any(result.wrong for result in results))
    report.round(number, results)
    publish(as_document(number, results, time.monotonic() - began))


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
