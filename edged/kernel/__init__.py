"""The seam to the kernel, the only place that knows netlink: `Kernel` is what the rest of edged sees of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # an inspector's worker needs netlink and nothing of rules, and is to be there soon
    from edged.ruleset.nodes import QueueForm
    from edged.ruleset.observed import CounterValue, Observed
    from edged.ruleset.plan import Lock, Plan


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this kernel can do, found out by dry runs: feature name -> works. The names are listed in `probe.FEATURES`."""

    features: Mapping[str, bool]

    @property
    def lock(self) -> Lock:
        """The strongest hold on a table that this kernel knows."""
        from edged.ruleset.plan import Lock  # noqa: PLC0415

        if not self.features.get("table_owner"):
            return Lock.NONE
        return Lock.OWNER_PERSIST if self.features.get("table_persist") else Lock.OWNER

    @property
    def queue(self) -> QueueForm | None:
        """How this kernel hands packets to user space; None where it does not."""
        from edged.ruleset.nodes import QueueForm  # noqa: PLC0415

        if self.features.get("queue"):
            return QueueForm.EXPRESSION
        return QueueForm.TARGET if self.features.get("queue_target") else None


class Kernel(Protocol):
    """All that edged asks of a kernel. `linux.LinuxKernel` is the real one, `fake.FakeKernel` executes plans in memory."""

    def capabilities(self) -> Capabilities:
        """Probe by dry runs; changes nothing. Raises KernelError where nftables cannot be reached at all."""
        ...

    def generation(self) -> int:
        """The ruleset's generation id: whoever commits anything raises it."""
        ...

    def observe(self) -> Observed:
        """Our table as it stands. Raises KernelError."""
        ...

    def counters(self) -> Mapping[str, CounterValue]:
        """Our named counters alone, empty where the table is missing. Raises KernelError."""
        ...

    def check(self, plan: Plan, *, now: float) -> None:
        """Let the kernel judge the plan without applying it. Raises as apply does."""
        ...

    def apply(self, plan: Plan, *, now: float) -> int:
        """Carry the plan out in one atomic batch and give the generation after it; an empty plan writes nothing.

        `now` (seconds since the epoch) turns the elements' `until` into timeouts. Raises StalePlan where the ruleset changed
        since the plan was made, KernelError where the kernel refuses a step; in both cases nothing was applied.
        """
        ...

    def close(self) -> None:
        """Let go of the sockets; what is in the kernel stays as the lock says."""
        ...
