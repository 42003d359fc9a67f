"""The `control` section: the socket on which the daemon takes commands, and who may give them. A path alone is its path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from edged.config.scalars import PathValue, read_path, refuse, unexpected
from edged.config.section import Section

_LONGEST_SOCKET_PATH = 107  # unix(7): sun_path has 108 bytes, the ending NUL included
_GROUP = r"[A-Za-z_][A-Za-z0-9_.-]{0,31}"


def _socket_path(path: Path) -> Path:
    length = len(str(path).encode(errors="surrogateescape"))
    if length > _LONGEST_SOCKET_PATH:
        raise refuse(f"the path has {length} bytes; that of a unix socket has at most {_LONGEST_SOCKET_PATH}")
    return path


def _group(value: Any) -> str:  # noqa: ANN401  whatever YAML held
    if not isinstance(value, str) or not re.fullmatch(_GROUP, value):
        raise unexpected("the name of a group of this machine, such as edged", value)
    return value


GroupName = Annotated[str, PlainValidator(_group), WithJsonSchema({"type": "string", "pattern": f"^{_GROUP}$"})]


class Control(Section):
    """The control socket; every program of the machine can connect, and the kernel says whose it is."""

    path: Annotated[PathValue, AfterValidator(_socket_path)] = Field(
        Path("/run/edged/control.sock"), description="the socket on which the daemon takes commands"
    )
    group: GroupName = Field("edged", description="whose members may do all that root may: change, and see subscribers")
    readers: GroupName = Field("edged-view", description="whose members may read the status, which tells of nobody's traffic")


def _path_or_section(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:  # noqa: ANN401
    if isinstance(value, dict | Control):
        return handler(value)
    return Control(path=_socket_path(read_path(value, info)))


class _OrPath:
    """The schema's other form."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core_schema)]}


ControlValue = Annotated[Control, WrapValidator(_path_or_section), _OrPath()]
