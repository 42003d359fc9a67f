"""The settings of caps: which classes are held to which rate after how much, and what is other for the subscribers of a plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from edged.config.quantities import Duration, Rate, Volume, at_least
from edged.config.scalars import refuse, unexpected
from edged.config.section import Section

_LEAST_RATE = 64_000
_PLAN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def _rate(value: int) -> int:
    if value < _LEAST_RATE:
        raise refuse(f"expected at least {_LEAST_RATE // 1000}kbit: a cap slows a flow and never blocks it")
    return value


def _plan_name(value: Any) -> str:  # noqa: ANN401  whatever YAML held
    """A plan as subscribers.csv names it, a metric's label, a part of a set's name."""
    if not isinstance(value, str) or not _PLAN.fullmatch(value):
        raise unexpected("a plan's name of at most 32 letters A-Z and a-z, digits, - and _", value)
    return value


def _unless_off(value: Any) -> Any:  # noqa: ANN401
    """`off` is told as None; a value that is missing is not."""
    if value == "off":
        return None
    if not isinstance(value, dict | Section):
        raise unexpected("settings such as {down: 50mbit, up: 50mbit}, or off", value)
    return value


class _OrOff:
    """Marks settings in whose place `off` may stand."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_before_validator_function(_unless_off, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(schema)
        return {"anyOf": [{"const": "off"} if each == {"type": "null"} else each for each in made["anyOf"]]}


CapRate = Annotated[Rate, AfterValidator(_rate)]
Lasting = Annotated[Duration, AfterValidator(at_least(1.0, "1s: a shorter time is a burst"))]
PlanName = Annotated[str, PlainValidator(_plan_name), WithJsonSchema({"type": "string", "pattern": f"^{_PLAN.pattern}$"})]

_AFTER = "what a flow may move, both directions together, before it counts as heavy"
_DOWN = "the rate toward the subscriber, over all its heavy flows of the class"
_UP = "the rate from the subscriber, over all its heavy flows of the class"
_SUSTAINED = "the mean rate, the faster direction's, from which a flow counts as heavy"
_LASTING = "for how long a flow must keep that rate"


class Cap(Section):
    """How a class that is recognised by its content is held."""

    after: Volume = Field(description=_AFTER)
    down: CapRate = Field(description=_DOWN)
    up: CapRate = Field(description=_UP)


class BulkCap(Cap):
    """How lasting bulk transfers are held, whatever is in them."""

    sustained: CapRate = Field(description=_SUSTAINED)
    lasting: Lasting = Field(alias="for", description=_LASTING)


class Classes(Section):
    """The classes that are capped; what is left out is not."""

    p2p: Cap | None = Field(None, description="peer-to-peer file sharing")
    streaming: Cap | None = Field(None, description="video and audio streams")
    bulk: BulkCap | None = Field(None, description="any flow that keeps a high rate for long")


class PlanCap(Section):
    """What is other for a plan; what is left out is as in `classes`."""

    after: Volume | None = Field(None, description=_AFTER)
    down: CapRate | None = Field(None, description=_DOWN)
    up: CapRate | None = Field(None, description=_UP)


class PlanBulkCap(PlanCap):
    """The same for bulk transfers."""

    sustained: CapRate | None = Field(None, description=_SUSTAINED)
    lasting: Lasting | None = Field(None, alias="for", description=_LASTING)


class Plan(Section):
    """The classes of a plan: `off`, or what is other than in `classes`."""

    p2p: Annotated[PlanCap | None, _OrOff()] = Field(default_factory=PlanCap, description="off, or what is other for p2p")
    streaming: Annotated[PlanCap | None, _OrOff()] = Field(
        default_factory=PlanCap, description="off, or what is other for streaming"
    )
    bulk: Annotated[PlanBulkCap | None, _OrOff()] = Field(
        default_factory=PlanBulkCap, description="off, or what is other for bulk"
    )


Plans = Mapping[PlanName, Plan]
