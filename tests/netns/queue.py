"""nft's own `queue`, which not every kernel knows: edged takes another way there, nft refuses the text."""

from __future__ import annotations

import subprocess
from functools import cache

TRIAL = "add table inet t; add chain inet t c; add rule inet t c queue flags bypass to 0"


@cache
def is_known() -> bool:
    """Whether this kernel takes the expression."""
    return subprocess.run(["unshare", "--net", "nft", "--check", TRIAL], capture_output=True, check=False).returncode == 0


def as_known_here(text: str) -> str:
    """The rendered text; without the rules that queue where this kernel has no such expression, and says so."""
    if is_known():
        return text
    print("without the rules that queue: this kernel has no nft queue expression")
    return "".join(line for line in text.splitlines(keepends=True) if " queue flags bypass " not in line)
