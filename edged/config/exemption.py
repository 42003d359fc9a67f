"""An exemption of a subscriber from a policy: for whom, until when, and who answers for it (semantics OP-10)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edged.config.scalars import PrefixValue


class SubscriberExemption(BaseModel):
    """One exempt prefix; `until` is the moment it ends, in seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: PrefixValue
    until: int
    owner: str
    reason: str
