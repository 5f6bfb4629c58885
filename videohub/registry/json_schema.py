"""The JSON Schema of a registry file, for editors: `python -m videohub.registry.json_schema > registry.schema.json`."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any, get_args

import msgspec

from videohub import metrics
from videohub.registry.schema import Protocol, Record, Stage


@functools.cache
def file_schema() -> dict[str, Any]:
    """Return the schema of the whole file: names are keys there, and a record's protocol is the name of one."""
    defs: dict[str, Any] = msgspec.json.schema(Record)["$defs"]
    for struct in (Record, Protocol):
        definition = defs[struct.__name__]
        del definition["properties"]["name"]
        definition["required"].remove("name")
    defs["Record"]["properties"]["protocol"] = {"type": "string", "description": "A name in `protocols`."}
    defs["Protocol"]["properties"]["metric"] = {"enum": metrics.names()}
    defs["NonLocal"]["properties"]["after"]["propertyNames"] = {"enum": list(get_args(Stage))}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A videohub registry",
        "type": "object",
        "additionalProperties": False,
        "required": ["schema_version", "protocols", "records"],
        "properties": {
            "schema_version": {"const": 1},
            "protocols": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Protocol"}},
            "records": {
                "type": "object",
                "propertyNames": {"pattern": "^[^\\W\\d_]\\w*$"},
                "additionalProperties": {"$ref": "#/$defs/Record"},
            },
        },
        "$defs": _in_order(dict(sorted(defs.items()))),
    }


def text() -> str:
    """Return the schema as the text of `registry.schema.json`."""
    return json.dumps(file_schema(), indent=2, ensure_ascii=False) + "\n"


def _in_order(value: Any) -> Any:
    """Return a schema that every version of Python and msgspec makes: alternatives in one order, docstrings flush."""
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(said := value.get("description"), str):
        value = {**value, "description": inspect.cleandoc(said)}
    ordered = {key: _in_order(item) for key, item in value.items()}
    return {key: sorted(item, key=json.dumps) if key == "anyOf" else item for key, item in ordered.items()}


if __name__ == "__main__":
    print(text(), end="")
