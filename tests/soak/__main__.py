"""The soak by hand, as root: `python -m tests.soak --hours 24`, or `--reloads 10000`.

A line a minute, or a thousand reloads; exit code 1 where something was not as it should be.
"""

from __future__ import annotations

import argparse
import sys

from tests import secrecy
from tests.soak.reloads import reloads
from tests.soak.soak import soak


def _tell(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--reloads", type=int, help="so many reloads, and nothing else")
    asked = parser.parse_args()
    secrecy.begin()  # what a daemon wrote is kept where its folder goes
    try:
        report = soak(asked.hours * 3600, _tell) if asked.reloads is None else reloads(asked.reloads, _tell)
    finally:
        secrecy.end()
    for problem in report.problems:
        print(f"NOT SO: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
