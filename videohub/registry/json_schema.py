"""The JSON Schema of a registry file, for editors: `python -m videohub.registry.json_schema > registry.schema.json`."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any, get_args

import msgspec

from videohub import metrics
from videohub.architectures.parts import Stage
from videohub.registry import labels
from videohub.registry.reader import DERIVED, NOT_SHARED, SCHEMA_VERSION
from videohub.registry.schema import DatasetInfo, Publisher, Record

ID = "urn:videohub:registry"  # a name, not an address: nothing is published yet


@functools.cache
def file_schema() -> dict[str, Any]:
    """Return the schema of the whole file: names are keys there, and a record's protocol is the name of one.

    Where the head of a file states what its records share, a record need not repeat it, so nothing is required there.
    """
    _, defs = msgspec.json.schema_components([Record, Publisher, DatasetInfo], ref_template="#/$defs/{name}")
    for struct, derived in DERIVED.items():
        of_struct = defs[struct.__name__]
        of_struct["required"] = [name for name in of_struct["required"] if name not in derived]
        for name in derived:
            del of_struct["properties"][name]
    record = defs["Record"]["properties"]
    record["protocol"] = {"type": "string", "description": "A name in `protocols`."}
    record["labels"]["anyOf"].append({"enum": labels.known()})  # what an editor offers; a file's name is text, too
    defs["Protocol"]["properties"]["metric"] = {"enum": metrics.names()}
    for by_stage in ("after", "windows"):
        defs["NonLocal"]["properties"][by_stage]["propertyNames"] = {"enum": list(get_args(Stage))}
    shareable = {name: value for name, value in record.items() if name not in NOT_SHARED}
    shareable["published"] = {"anyOf": [record["published"], {"$ref": "#/$defs/Published"}]}  # what each number has
    defs["Shared"] = {"type": "object", "properties": shareable, "additionalProperties": False,
                      "description": "What the records of this file have unless they say otherwise."}  # fmt: skip
    whole = {"required": defs["Record"].pop("required"), "properties": {
        **{part.casefold(): {"required": defs[part].pop("required")} for part in ("Clip", "Checkpoint")},
        "published": {"items": {"required": defs["Published"].pop("required")}}}}  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "A videohub registry",
        "type": "object",
        "additionalProperties": False,
        "required": ["schema_version", "records"],
        "properties": {
            "schema_version": {"const": SCHEMA_VERSION},
            "include": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                        "description": "Patterns of further files beside this one."},
            "publisher_order": {"type": "array", "items": {"type": "string"},
                                "description": "Of two publishers with one upstream name, the first one's is meant."},
            "publisher": {"$ref": "#/$defs/Publisher"},
            "shared": {"$ref": "#/$defs/Shared"},
            "protocols": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Protocol"}},
            "datasets": {"anyOf": [{"type": "string"},
                                   {"type": "object", "additionalProperties": {"$ref": "#/$defs/DatasetInfo"}}],
                         "description": "Data sets of one's own, or the file of them."},
            "records": {
                "type": "object",
                "propertyNames": {"pattern": "^[^\\W\\d_]\\w*$"},
                "additionalProperties": {"$ref": "#/$defs/Record"},
            },
        },
        "if": {"not": {"required": ["shared"]}},
        "then": {"properties": {"records": {"additionalProperties": whole}}},
        "$defs": in_order(dict(sorted(defs.items()))),
    }  # fmt: skip


def text() -> str:
    """Return the schema as the text of `registry.schema.json`."""
    return json.dumps(file_schema(), indent=2, ensure_ascii=False) + "\n"


def in_order(value: Any) -> Any:
    """Return a schema that every version of Python and msgspec makes: alternatives in one order, docstrings flush."""
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(description := value.get("description"), str):
        value = {**value, "description": inspect.cleandoc(description)}
    if names := value.get("propertyNames"):  # before their values, as msgspec has them from 0.23 on
        value = {"type": value["type"], "propertyNames": names, **value}
    ordered = {key: in_order(item) for key, item in value.items()}
    return {key: sorted(item, key=json.dumps) if key == "anyOf" else item for key, item in ordered.items()}


if __name__ == "__main__":
    print(text(), end="")
