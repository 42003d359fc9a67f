"""Data to a model, and pydantic's errors to sentences for the operator, each at its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Any, TypeGuard, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from edged.config.document import Document
from edged.config.problem import Finding, KeyPath, Problem, nearest, shown
from edged.config.scalars import Loading

Model = TypeVar("Model", bound=BaseModel)
_WORD = re.compile(r"[\x21-\x7e]{1,60}")
ExplainKey = Callable[[str, object], str | None]


def _no_more_to_say(key: str, value: object) -> str | None:  # noqa: ARG001  an ExplainKey
    return None


def validate(
    model: type[Model], document: Document, loading: Loading, explain: ExplainKey = _no_more_to_say
) -> tuple[Model | None, tuple[Problem, ...]]:
    """The document's data as that model, or every problem that stands in the way; `explain` knows more of some unknown keys."""
    if not isinstance(document.data, dict):
        return None, (not_a_mapping(document),)
    try:
        return model.model_validate(document.data, context=loading), ()
    except ValidationError as error:
        return None, tuple(_problems(error, model, document, explain))


def not_a_mapping(document: Document) -> Problem:
    """What to say of a file that is empty or is a list or a single value."""
    what = "an empty file" if document.data is None else shown(document.data)
    return document.problem(Finding((), f"expected keys and values, got {what}"))


def _problems(error: ValidationError, model: type[BaseModel], document: Document, explain: ExplainKey) -> Iterator[Problem]:
    details = error.errors(include_url=False)
    misspelt = {(*path[:-1], meant) for path, meant in _misspelt(details, model)}
    for each in details:
        path = each["loc"]
        match each["type"]:
            case "missing":
                if path not in misspelt:
                    yield document.problem(Finding(path, _missing(path, model)), document.key_mark(path[:-1]))
            case "extra_forbidden":
                message = explain(str(path[-1]), each["input"]) or _unknown_key(path, model)
                yield document.problem(Finding(path, message), document.key_mark(path))
            case "too_short" if each["input"]:
                pass  # pydantic counts the entries that are right; the wrong ones are reported each by itself
            case _ if path[-1:] == ("[key]",):  # pydantic's place for a key that is wrong by itself
                yield document.problem(Finding(path[:-1], _reworded(each)), document.key_mark(path[:-1]))
            case _:
                yield document.problem(Finding(path, _reworded(each)))


def _reworded(error: ErrorDetails) -> str:
    """The reason that pydantic gives, in our words."""
    value = error["input"]
    match error["type"]:
        case "edged":
            return error["msg"]
        case "enum" | "literal_error":
            return word_expected(error["ctx"]["expected"], value)
        case "bool_type":
            return f"expected true or false, got {shown(value)}"
        case "tuple_type" | "list_type":
            # a value goes into a hint as it is only where nothing in it can move a terminal's cursor
            hint = f" (write [{value}])" if isinstance(value, str) and _WORD.fullmatch(value) else ""
            return f"expected a list, got {shown(value)}{hint}"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"expected keys and values, got {shown(value)}"
        case "int_type" | "int_parsing":
            return f"expected a whole number, got {shown(value)}"
        case "greater_than_equal":
            return f"expected at least {error['ctx']['ge']}, got {shown(value)}"
        case "less_than_equal":
            return f"expected at most {error['ctx']['le']}, got {shown(value)}"
        case "too_short":
            return f"expected at least one entry, got {shown(value)}"
        case _:
            return f"{error['msg']}, got {shown(value)}"


def word_expected(expected: str, value: object) -> str:
    """`expected 'reject' or 'drop', got 'rejct' (did you mean 'reject'?)`; `expected` has its words in single quotes."""
    meant = nearest(value, tuple(re.findall(r"'([^']*)'", expected))) if isinstance(value, str) else None
    return f"expected {expected}, got {shown(value)}" + (f" (did you mean {meant!r}?)" if meant else "")


def _missing(path: KeyPath, model: type[BaseModel]) -> str:
    owner = _model_at(path[:-1], model)
    field = _fields(owner).get(str(path[-1])) if owner else None
    return "missing" + (f": {field.description}" if field and field.description else "")


def _unknown_key(path: KeyPath, model: type[BaseModel]) -> str:
    owner = _model_at(path[:-1], model)
    known = tuple(_fields(owner)) if owner else ()
    meant = nearest(str(path[-1]), known)
    return "unknown key" + (f" (did you mean {meant!r}?)" if meant else f"; known here: {', '.join(known)}")


def _misspelt(details: list[ErrorDetails], model: type[BaseModel]) -> Iterator[tuple[KeyPath, str]]:
    """The unknown keys, each with the key that was meant: that one is not reported as missing too."""
    for each in details:
        if each["type"] == "extra_forbidden" and (owner := _model_at(each["loc"][:-1], model)):
            meant = nearest(str(each["loc"][-1]), tuple(_fields(owner)))
            if meant:
                yield each["loc"], meant


def _model_at(path: KeyPath, model: type[BaseModel]) -> type[BaseModel] | None:
    """The model whose keys stand at that path."""
    here: Any = model
    for step in path:
        inside = get_args(here)
        if isinstance(step, int):
            here = next((arg for arg in inside if arg is not Ellipsis), None)
        elif _is_model(here) and step in _fields(here):
            here = _fields(here)[step].annotation
        elif get_origin(here) is Mapping:
            here = inside[1]
        else:
            return None
        here = next((arg for arg in get_args(here) if _is_model(arg)), here) if get_origin(here) is UnionType else here
    return here if _is_model(here) else None


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The model's fields by the keys that a file has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_model(thing: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(thing, type) and issubclass(thing, BaseModel)
