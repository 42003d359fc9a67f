"""JSON Schemas of the files, made from the models: for editors, and for whoever generates the files.

They are shipped beside the example (`rules/*.schema.json`); a test makes them anew and compares. A schema knows single
values; what holds across keys and files only `edged check` knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from edged.config.gateway import EdgedFile
from edged.policies import POLICIES

Schema = dict[str, Any]

DIALECT = "http://json-schema.org/draft-07/schema#"  # what yaml-language-server reads in full


# The files that have a schema; each is shipped as `<name>.schema.json`.
MODELS: Mapping[str, tuple[type[BaseModel], ...]] = {"edged": (EdgedFile,), "policy": POLICIES}


def schema(file: str) -> Schema:
    """The schema of a file of MODELS: of edged.yaml, or of a policy's file, which is one of the policies."""
    definitions, references = _generate(MODELS[file])
    return {"$schema": DIALECT, "title": f"{file} (edged)", "oneOf": references, "definitions": definitions}


def _generate(models: Sequence[type[BaseModel]]) -> tuple[Schema, list[Schema]]:
    """The definitions of the models, and a reference to each."""
    made, generated = models_json_schema([(model, "validation") for model in models], ref_template="#/definitions/{model}")
    return _without_noise(generated["$defs"]), [made[model, "validation"] for model in models]


def _without_noise(definitions: Schema) -> Schema:
    """The same without the titles that pydantic makes of the keys' names, and without defaults that are nothing."""
    for definition in definitions.values():
        for key in definition.get("properties", {}).values():
            key.pop("title", None)
            if key.get("default", ...) is None:
                del key["default"]
    return definitions
