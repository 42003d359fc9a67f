"""The daemon's keeper on a table that nobody owns, as on a kernel before 5.12.

    ip netns exec NETNS python -m tests.netns.strangers.unlocked EDGED.YAML

It says "holds" when the policy is in force, and after each repair a line: the reason by which it was counted, and the process
whose doing it was. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from edged.clock import SystemClock
from edged.daemon.drift import Suspects
from edged.daemon.keeper import Keeper
from edged.daemon.totals import Totals
from edged.daemon.watch import RulesetWatch
from edged.kernel.events import NftEvents
from edged.kernel.linux import LinuxKernel
from edged.loader import load
from edged.ruleset.plan import Lock

Answer = TypeVar("Answer")


async def hold(path: Path) -> None:
    """Keep that configuration in force."""
    clock, suspects = SystemClock(), Suspects()
    loop = asyncio.get_running_loop()
    with (
        closing(NftEvents()) as events,
        closing(LinuxKernel()) as kernel,
        closing(LinuxKernel()) as reader,
        ThreadPoolExecutor(1) as writer,
    ):
        keeper = Keeper(kernel, Lock.NONE, None, clock, Totals(reader.counters), suspects)

        async def in_writer(call: Callable[[], Answer], /) -> Answer:
            before = keeper.state.recent
            answer = await loop.run_in_executor(writer, call)
            if keeper.state.recent != before:
                print(keeper.state.recent[0].reason, keeper.state.recent[0].process.name, flush=True)
            return answer

        await in_writer(lambda: keeper.hold(load(path, now=datetime.now(UTC))))
        watch = asyncio.create_task(RulesetWatch(keeper, suspects, clock, in_writer, events).run())
        gc.freeze()  # as the daemon does
        print("holds", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        watch.cancel()
        await asyncio.wait([watch])


if __name__ == "__main__":
    asyncio.run(hold(Path(sys.argv[1])))
