"""The soak by hand: `python -m tests.soak --hours 24`, as root; a line a minute, and exit code 1 where something was not so."""

from __future__ import annotations

import argparse
import sys

from tests.soak.soak import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    report = soak(parser.parse_args().hours * 3600, lambda line: print(line, flush=True))
    for problem in report.problems:
        print(f"NOT SO: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
