"""An exemption of a subscriber from a policy: for whom, until when, and who answers for it (semantics OP-10)."""

from __future__ import annotations

from pydantic import Field

from edged.config.scalars import Moment, PrefixValue, Text
from edged.config.section import Section


class SubscriberExemption(Section):
    """One exempt subscriber; without end, owner and reason there is no exemption."""

    prefix: PrefixValue = Field(description="the subscriber's address or prefix")
    # once read, in seconds since the epoch
    until: Moment = Field(description="the end of the exemption: a date, or a time with its offset; at most 5 years ahead")
    owner: Text = Field(description="who answers for the exemption")
    reason: Text = Field(description="why, or the ticket that says so")
