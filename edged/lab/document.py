"""A round of the lab as the object that --json prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from edged.lab.attempts import ATTEMPTS, Attempt
from edged.lab.caps import CapResult, Held, NotMeasured
from edged.lab.trial import Made, Result


def as_document(number: int, results: Sequence[Made], seconds: float) -> dict[str, object]:
    """The round as an object of schema edged/v1/lab; rates are in bits a second."""
    attempts = [each for each in results if isinstance(each, Result)]
    return {
        "schema": "edged/v1/lab",
        "round": number,
        "right": not any(result.wrong for result in results),
        "seconds": round(seconds, 3),
        "attempts": [_attempt(attempt, [each for each in attempts if each.attempt is attempt]) for attempt in ATTEMPTS],
        "caps": {each.family.label: _caps(each) for each in results if isinstance(each, CapResult)},
    }


def _attempt(attempt: Attempt, results: Sequence[Result]) -> dict[str, object]:
    by = attempt.counted_by
    return {
        "attempt": attempt.name,
        "who": attempt.who,
        "what": attempt.what,
        "expected": str(attempt.expected),
        "counted_by": None if by is None else {"policy": by.policy, "direction": by.direction.value, "verdict": by.verdict},
        **{result.family.label: _result(result) for result in results},
    }


def _result(result: Result) -> dict[str, object]:
    counted = [
        {
            **dict(zip(("policy", "direction", "family", "verdict"), each.labels, strict=True)),
            "packets": rise,
        }
        for each, rise in result.counted.items()
    ]
    seen = result.seen
    return {
        "right": result.wrong is None,
        "seen": str(seen.outcome),
        "detail": seen.detail,
        "counted": counted,
        "wrong": result.wrong,
    }


def _caps(result: CapResult) -> dict[str, object]:
    return {"right": result.wrong is None, "wrong": result.wrong, "seen": _held(result.seen)}


def _held(seen: Held | NotMeasured) -> dict[str, object] | None:
    match seen:
        case NotMeasured():
            return None
        case Held(allowed, transfers, counted):
            return {
                "allowed": allowed,
                "torrent": round(transfers.torrent),
                "download": round(transfers.download),
                "counted": [
                    {"class": what.flow_class, "direction": what.direction.value, "bytes": rise} for what, rise in counted.items()
                ],
            }
        case _:
            assert_never(seen)
