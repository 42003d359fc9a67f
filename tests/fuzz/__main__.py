"""`python -m tests.fuzz [NAME [SECONDS]]`: a search by atheris, of one target or of all, each for so long (default 60)."""

from __future__ import annotations

import subprocess
import sys
from tempfile import TemporaryDirectory

from tests.fuzz.target import FOUND, found, names, target

_ONE_INPUT = 5  # seconds that an input may take
_MEMORY = 2048  # MiB


def main(arguments: list[str]) -> int:
    """Search in a process each, as libFuzzer ends its own; the number of targets in which something was found."""
    if arguments[:1] == ["--search"]:
        return search(*arguments[1:])
    wanted = arguments[:1] or names()
    if unknown := set(wanted) - set(names()):
        print(f"no target {unknown.pop()}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    seconds = arguments[1] if len(arguments) > 1 else "60"
    failed = 0
    for name in wanted:
        with TemporaryDirectory(prefix="edged-fuzz-") as corpus:
            command = [sys.executable, "-m", "tests.fuzz", "--search", name, seconds, corpus]
            failed += subprocess.run(command, check=False).returncode != 0
    return failed


def search(name: str, seconds: str, corpus: str) -> int:
    """Search in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["edged"]):
        chosen = target(name)
    for number, seed in enumerate((*chosen.seeds, *found(name))):
        with open(f"{corpus}/{number}", "wb") as file:  # noqa: PTH123
            file.write(seed)
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-timeout={_ONE_INPUT}", f"-rss_limit_mb={_MEMORY}", "-max_len=65536"]
    atheris.Setup([name, *options, f"-artifact_prefix={FOUND / name}/", "-print_final_stats=1", corpus], chosen.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
