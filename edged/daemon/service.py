"""What the control socket and the metrics page offer, in their own words, of what the daemon does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edged import __version__
from edged.addresses import Address
from edged.control import messages
from edged.control.asked import Apply, Guards
from edged.control.messages import Changes, Confirmed, Status, Top, TornDown
from edged.daemon.capper import caps_of
from edged.daemon.caps import CapsWatch
from edged.daemon.capsreport import held, queueing_features, top
from edged.daemon.change import Change
from edged.daemon.changes import Changes as Operations
from edged.daemon.lists import ListWatch
from edged.daemon.report import View, repairs, status
from edged.errors import EdgedError
from edged.kernel import Capabilities
from edged.lists.provenance import standing, told
from edged.lockout.farend import Login
from edged.lockout.gather import Lifelines
from edged.lockout.guard import unguarded
from edged.metrics.figures import Figures

# among the features of the metric edged_capability: whether nothing takes packets of the gateway's interfaces past the rules
NO_BYPASS = "no_bypass"


def figures(view: View, capabilities: Capabilities, read_errors: int) -> Figures:
    """The metrics of this moment."""
    configuration = view.record.configuration
    caps = None if view.record.idle else caps_of(configuration)
    plans = caps.plans if caps is not None else ()
    return Figures(
        version=__version__,
        reload_successful=view.record.reload_successful,
        reload_success=view.record.reload_success,
        in_sync=view.kept.in_sync,
        repairs=repairs(view),
        applied=view.kept.applied,
        capabilities={
            **capabilities.features,
            **queueing_features(view.caps.state.able),
            NO_BYPASS: not view.bypasses,
        },
        policies=view.totals,
        lists=view.lists,
        read_errors=read_errors,
        held=held(caps) if caps is not None else (),
        caps=view.caps,
        subscribers={**dict.fromkeys((None, *plans), 0), **configuration.subscribers.count_by_plan()},
    )


class ControlService:
    """The operations as the control socket's messages; `view` reads the kernel's counters, so it is called in a thread."""

    def __init__(
        self,
        operations: Operations,
        view: Callable[[], View],
        key: Callable[[], bytes | None],
        sources: ListWatch,
        caps: CapsWatch,
        lifelines: Lifelines,
    ) -> None:
        self._operations = operations
        self._view = view
        self._key = key  # of the opaque numbers of confidential lists
        self._sources = sources
        self._caps = caps
        self._lifelines = lifelines

    async def status(self) -> Status:
        """What the daemon does and sees now."""
        return await asyncio.to_thread(lambda: status(self._view()))

    async def top(self, limit: int) -> Top:
        """Who uses most of what is capped, at most so many."""
        return await asyncio.to_thread(top, self._caps.view({}), limit)

    async def blocklist_test(self, address: Address) -> messages.Standing:
        """How an address stands with the lists in force. Raises EdgedError where no blocklist is configured."""
        found = await asyncio.to_thread(lambda: standing(self._operations.record.configuration, address, self._key()))
        if found is None:
            raise EdgedError("no blocklist is configured; no address is blocked")
        return told(found, address)

    async def blocklist_update(self) -> messages.Asked:
        """Ask the lists' addresses on the web now."""
        return {"asked": list(self._sources.hurry())}

    async def reload(self, login: Login | None) -> Changes:
        """Take the files anew."""
        self._lifelines.note(login)
        return _told(await self._operations.reload())

    async def apply(self, asked: Apply) -> Changes:
        """Take the files anew, and roll them back after so long unless confirm comes; without a time: as reload."""
        self._lifelines.note(asked.login)
        guard = unguarded if asked.guards is Guards.OVERRIDDEN else None
        if asked.confirm_seconds is None:
            return _told(await self._operations.reload(guard))
        change = await self._operations.apply(asked.confirm_seconds, guard)
        return {**_told(change), "confirm_deadline_seconds": asked.confirm_seconds}

    async def confirm(self) -> Confirmed:
        """Keep the change that waits."""
        await self._operations.confirm()
        return {"confirmed": True}

    async def rollback(self) -> Changes:
        """Take the change that waits back."""
        return _told(await self._operations.rollback())

    async def teardown(self) -> TornDown:
        """Remove all that edged made."""
        removed = await self._operations.teardown()
        devices = await self._caps.release()
        return {"removed": removed, "devices": list(devices)}


def _told(change: Change) -> Changes:
    return {
        "changed": len(change.steps),
        "generation": change.enforced.generation,
        "warnings": list(change.warnings),
        "steps": list(change.steps),
        "refused": list(change.refused),
    }
