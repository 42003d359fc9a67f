"""The example in rules/: without an error or a warning, and its schemas are those of the models."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from edged.config.gateway import EdgedFile
from edged.config.schema import MODELS, schema
from edged.configuration import PlacedPolicy
from edged.loader import Configuration, load
from edged.policies import POLICIES, Mode

RULES = Path(__file__).parents[3] / "rules"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FILES = (RULES / "edged.yaml", *sorted((RULES / "rules.d").iterdir()))


@pytest.fixture(scope="module")
def shipped() -> Configuration:
    return load(RULES / "edged.yaml", now=NOW)


def test_nothing_is_to_be_said(shipped: Configuration) -> None:
    assert shipped.warnings == ()
    assert shipped.files == (*FILES, RULES / "hosts/streaming.txt", RULES / "subscribers.csv")


def test_every_policy_is_there_and_compiles(shipped: Configuration) -> None:
    assert tuple(type(each.settings) for each in shipped.policies) == POLICIES
    assert all(each.settings.mode is Mode.ENFORCE for each in shipped.policies)
    assert {rule.policy for rule in shipped.table(int(NOW.timestamp())).rules()} >= {"op25b", "ip53b", "spoof"}


def test_every_key_is_written_out_and_commented(shipped: Configuration) -> None:
    files: list[tuple[Configuration | PlacedPolicy, type[BaseModel]]] = [(shipped, EdgedFile)]
    files += [(each, type(each.settings)) for each in shipped.policies]
    for each, model in files:
        for key in model.model_fields:
            assert (key,) in each.places.keys, f"{each.places.file}: {key}"
            line = each.places.at(key).line
            above = (RULES / each.places.file).read_text().splitlines()[line - 2]
            assert above.startswith("#"), f"{each.places.file}:{line}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_editors_find_the_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    assert (path.parent / named[1]).is_file()


@pytest.mark.parametrize("name", MODELS)
def test_the_shipped_schema_is_that_of_the_models(name: str, request: pytest.FixtureRequest) -> None:
    path = RULES / f"{name}.schema.json"
    made = json.dumps(schema(name), indent=2) + "\n"
    if request.config.getoption("--update-golden"):
        path.write_text(made)
    assert path.read_text() == made


@pytest.mark.parametrize("name", MODELS)
def test_the_schemas_patterns_take_what_the_models_take(name: str, shipped: Configuration) -> None:
    """The patterns are for editors: whatever the shipped files hold must pass them."""
    made = schema(name)
    files = [FILES[0]] if name == "edged" else FILES[1:]
    models: list[type[BaseModel]] = [EdgedFile] if name == "edged" else [type(each.settings) for each in in_file_order(shipped)]
    for path, model in zip(files, models, strict=True):
        data = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # everything as text
        assert [*mismatches(data, made["definitions"][model.__name__], made["definitions"])] == []


def in_file_order(configuration: Configuration) -> list[PlacedPolicy]:
    return sorted(configuration.policies, key=lambda each: each.file)


def mismatches(data: object, shape: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """The strings that do not match their pattern, and keys that the schema does not know."""
    if "$ref" in shape:
        shape = definitions[shape["$ref"].rpartition("/")[2]]
    if "anyOf" in shape:
        return min((mismatches(data, each, definitions) for each in shape["anyOf"]), key=len)
    match data:
        case dict() if "patternProperties" in shape:
            [(pattern, value_shape)] = shape["patternProperties"].items()
            unknown = [key for key in data if not re.search(pattern, key)]
            return unknown + [each for value in data.values() for each in mismatches(value, value_shape, definitions)]
        case dict():
            unknown = [key for key in data if key not in shape.get("properties", {})]
            return unknown + [
                each
                for key, value in data.items()
                if key not in unknown
                for each in mismatches(value, shape["properties"][key], definitions)
            ]
        case list():
            return [each for value in data for each in mismatches(value, shape["items"], definitions)]
        case _:
            wrong = "pattern" in shape and not re.search(shape["pattern"], str(data))
            wrong |= "enum" in shape and data not in shape["enum"]
            wrong |= "const" in shape and data != shape["const"]
            wrong |= shape.get("type") in ("object", "array", "null")
            return [str(data)] if wrong else []
