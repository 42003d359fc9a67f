"""What the kernel can do."""

from __future__ import annotations

from collections.abc import Iterator

from edged.doctor.finding import Finding, Grade
from edged.doctor.promises import WEAKENS
from edged.kernel import Capabilities
from edged.kernel.probe import FEATURES

_AREA = "kernel"
# no policy of this release asks for these
NOT_ASKED_FOR = frozenset({"flowtable", "destroy"})
# another part of edged does the same work where this is missing (`otherwise` says which)
MADE_UP_FOR = frozenset({"table_persist"})


def features(capabilities: Capabilities) -> Iterator[Finding]:
    """A finding for each feature that edged knows to ask for."""
    for name, feature in FEATURES.items():
        if capabilities.features.get(name, False):
            yield Finding(_AREA, name, Grade.OK, "works", feature.purpose)
        elif name in NOT_ASKED_FOR:
            yield Finding(_AREA, name, Grade.OK, "not there, not needed", feature.purpose, feature.otherwise)
        elif capabilities.features.get(feature.twin, False):
            yield Finding(_AREA, name, Grade.OK, f"not there, {feature.twin} does it", feature.purpose, feature.otherwise)
        else:
            grade = Grade.WARN if name in MADE_UP_FOR else Grade.MISSING
            yield Finding(_AREA, name, grade, "not there", feature.purpose, feature.otherwise, WEAKENS.get(name, ()))
