"""What msgspec found wrong with a record, in the words of a registry file, and what the schema expects there."""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec

from videohub.registry import json_schema
from videohub.registry.complaints import Steps, shown

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_EXPECTED = re.compile(r"Expected `(?P<types>[^`]+)`(?P<limit>.*?)(?:, got (?P<got>\S+))?$", re.DOTALL)
_AT = re.compile(r" - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`$")


def explain(error: msgspec.ValidationError, raw: object, section: str) -> tuple[Steps, str, str]:
    """Return what msgspec found wrong with `raw`, a record or a protocol: the steps to it, what it is, and advice.

    Args:
        section: "records" or "protocols".
    """
    steps, message, is_key = place_of(error)
    if field := re.fullmatch(r"Object contains unknown field `(.*)`", message):
        known = list(_schema_at(section, raw, steps).get("properties", ()))
        return (*steps, field[1]), "is not a field of the schema", _nearest(field[1], known)
    if field := re.fullmatch(r"Object missing required field `(.*)`", message):
        return (*steps, field[1]), "is missing", "There are no silent defaults: write null where the schema allows it."
    if value := re.fullmatch(r"Invalid (?:enum )?value '?(.*?)'?", message):
        allowed = ", ".join(_allowed(_schema_at(section, raw, steps), keys=is_key)) or "another value"
        found = f"has the key {value[1]}" if is_key else f"is {_found(raw, steps)}"
        return steps, f"{found}, expected one of {allowed}", ""
    if expected := _EXPECTED.fullmatch(message):
        wanted = (
            " or ".join(_WORDS.get(kind.strip(), kind) for kind in expected["types"].split("|")) + expected["limit"]
        )
        if expected["limit"].startswith(" of length"):
            return steps, f"has {expected['got']} items, expected {wanted}", ""
        return steps, f"is {_found(raw, steps, expected['got'])}, expected {wanted}", ""
    return steps, f"breaks the schema: {message}", ""


def place_of(error: msgspec.ValidationError) -> tuple[Steps, str, bool]:
    """Return where msgspec found something wrong, what it says of it, and whether a key is meant and not a value."""
    text = str(error)
    at = _AT.search(text)
    return (_steps(at["path"]), text[: at.start()], bool(at["key"])) if at else ((), text, False)


def _steps(path: str) -> Steps:
    """Read msgspec's `.after[...][1]`, where [...] is any value of a mapping and becomes `*`."""
    found = re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", path)
    return tuple(name or (int(index) if index.isdigit() else "*") for name, index in found)


def _found(raw: Any, steps: Steps, kind: str | None = None) -> str:
    """Return the value that `steps` lead to, or its kind where they end in any value of a mapping."""
    for step in steps:
        if step == "*":
            return _WORDS.get((kind or "").strip("`"), "something else")
        raw = raw[step]
    return shown(raw)


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return (f"Did you mean {close[0]}? " if close else "") + f"Known here: {', '.join(known)}."


def _allowed(node: dict[str, Any], *, keys: bool) -> list[str]:
    options = [node.get("propertyNames", {})] if keys else node.get("anyOf", [node])
    return [str(value) for option in options for value in option.get("enum", ())]


def _schema_at(section: str, raw: Any, steps: Steps) -> dict[str, Any]:
    """Return the JSON Schema of the value that `steps` lead to; `raw` chooses between tagged structs."""
    whole = json_schema.file_schema()
    node = _resolved(whole, whole["properties"][section]["additionalProperties"], raw)
    for step in steps:
        if step == node.get("discriminator", {}).get("propertyName"):
            return {"enum": list(node["discriminator"]["mapping"])}
        if isinstance(step, int):
            node = node["prefixItems"][step] if "prefixItems" in node else node["items"]
        else:
            node = node.get("properties", {}).get(step) or node.get("additionalProperties") or {}
        raw = {} if step == "*" else raw[step]
        node = _resolved(whole, node, raw)
    return node


def _resolved(whole: dict[str, Any], node: dict[str, Any], raw: Any) -> dict[str, Any]:
    """Follow references, and the tag of `raw` through a choice of structs."""
    if "discriminator" in node:
        tag = raw.get(node["discriminator"]["propertyName"]) if isinstance(raw, dict) else None
        reference = node["discriminator"]["mapping"].get(tag) if isinstance(tag, str) else None
    else:
        references = [option["$ref"] for option in node.get("anyOf", [node]) if "$ref" in option]
        reference = references[0] if references else None
    return whole["$defs"][reference.rsplit("/", 1)[1]] if reference else node
