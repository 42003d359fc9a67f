"""The policies, one file each. The order of POLICIES is the order of precedence (semantics G-1)."""

from __future__ import annotations

from edged.policies.base import Mode, Policy, Scope, Site
from edged.policies.blocklist import Blocklist
from edged.policies.caps import Caps
from edged.policies.ip53b import Ip53b
from edged.policies.op25b import Op25b
from edged.policies.spoof import Spoof

POLICIES: tuple[type[Policy], ...] = (Spoof, Blocklist, Op25b, Ip53b, Caps)

__all__ = ["POLICIES", "Blocklist", "Caps", "Ip53b", "Mode", "Op25b", "Policy", "Scope", "Site", "Spoof"]
