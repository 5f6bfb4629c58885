"""How a broken registry file is told: which file, record, field and line, what was found there, and what to do.

All that is wrong with a file is gathered in `Messages` and told at once. What only broken files need is imported late.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

import msgspec

from videohub.errors import RegistryError
from videohub.escaping import shortened

Steps: TypeAlias = tuple["str | int", ...]  # from the top of a file to a value: ("records", "slow_r50_8x8", "rate")

MOST, KEPT = 50, 5_000  # messages that an error lists, and that are kept of files that break everywhere

_OWNERS = {
    "records": "",
    "protocols": "protocol ",
    "datasets": "data set ",
}  # sections of names, and what one is called
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


class Message(msgspec.Struct, frozen=True):
    """One thing that is wrong with a registry file."""

    file: str
    place: str  # such as `slow_r50_8x8: model.width`
    line: int | None
    what: str
    advice: str

    def __str__(self) -> str:
        hint = " ".join(part for part in (f"Line {self.line}." if self.line else "", self.advice) if part)
        return f"{self.file}: {self.place} {self.what}." + (f"\n  {hint}" if hint else "")


class BrokenRegistryError(RegistryError):
    """A registry file breaks the schema; `messages` are the first `KEPT` of all that is wrong with it."""

    def __init__(self, messages: Sequence[Message], total: int) -> None:
        self.messages, self.total = tuple(messages), total
        lines = [*map(str, self.messages[:MOST])]
        if total > MOST:
            lines.append(f"{total - MOST} more are not listed; `videohub registry check FILE` tells them.")
        elif total > 1:
            lines.append(f"These are {total} errors.")
        super().__init__("\n".join(lines))


class Messages:
    """All that is wrong with the files that are read together: the first message for each place."""

    def __init__(self) -> None:
        self._told: dict[tuple[Path, Steps], Message] = {}
        self._total = 0

    def add(self, file: Path, steps: Steps, what: str, *, line: int | None = None, advice: str = "") -> None:
        """Note `what` is wrong with the value that `steps` lead to, unless something was wrong with it before."""
        if (file, steps) in self._told:
            return
        self._total += 1
        if self._total <= KEPT:
            self._told[file, steps] = message(file, steps, what, line=line, advice=advice)

    def extend(self, file: Path, messages: Iterable[Message]) -> None:
        """Note what was found wrong elsewhere with a file."""
        for index, each in enumerate(messages):
            self._total += 1
            self._told[file, ("", self._total, index)] = each

    def check(self) -> None:
        """Raise BrokenRegistryError if anything was wrong."""
        if self._total:
            raise BrokenRegistryError([*self._told.values()], self._total)


def message(file: Path, steps: Steps, what: str, *, line: int | None = None, advice: str = "") -> Message:
    """Return the message that says `what` is wrong with the value that `steps` lead to."""
    return Message(str(file), _place(steps), line, shortened(what, 1_000), advice)


def file_error(file: Path, steps: Steps, what: str, *, line: int | None = None, advice: str = "") -> RegistryError:
    """Return the error of a file in which one thing is wrong, after which nothing more can be read."""
    return BrokenRegistryError([message(file, steps, what, line=line, advice=advice)], 1)


def shown(value: object) -> str:
    """Return `value` as a registry file would write it, or its kind where it is long."""
    if isinstance(value, (dict, list)):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    import json

    return shortened(json.dumps(value, ensure_ascii=False, default=str), 200)


def place_of(error: msgspec.ValidationError) -> tuple[Steps, str, bool]:
    """Return where msgspec found something wrong, what it says of it, and whether a key is meant and not a value."""
    text = str(error)
    at = _AT.search(text)
    return (_steps(at["path"]), text[: at.start()], bool(at["key"])) if at else ((), text, False)


def schema_errors(raw: Any, kind: Any, section: str, *, leave: Sequence[str] = ()) -> Iterator[tuple[Steps, str, str]]:
    """Yield all that is wrong with `raw` as a value of `kind`: the steps to it, what it is, and advice.

    Args:
        raw: A record, a protocol, or a section itself, as a file has it.
        kind: The struct that it should be.
        section: Where it stands in the JSON Schema: "records", "protocols" or a section.
        leave: Fields that are looked at elsewhere.
    """
    for steps, said, is_key in _errors(raw, kind, (), leave):
        yield _explained(steps, said, is_key, raw, section)


def _errors(raw: Any, kind: Any, base: Steps, leave: Sequence[str] = ()) -> Iterator[tuple[Steps, str, bool]]:
    """Yield what msgspec says of `raw`, and of every part of it by itself: it stops at the first error of each."""
    count = 0
    for each in _errors_of_parts(raw, kind, base, leave):
        count += 1
        yield each
    if count or leave:
        return
    try:
        msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        inside, said, is_key = place_of(error)
        yield (*base, *inside), said, is_key


def _errors_of_parts(raw: Any, kind: Any, base: Steps, leave: Sequence[str]) -> Iterator[tuple[Steps, str, bool]]:
    options = _options(kind)
    if isinstance(raw, dict) and (struct := _struct_of(raw, options)):
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        known = {*fields, struct.__struct_config__.tag_field}
        for name in raw:
            if name not in known:
                yield base, f"Object contains unknown field `{name}`", False
        for name, field in fields.items():
            if name in raw and name not in leave:
                yield from _errors(raw[name], field.type, (*base, name))
            elif name not in raw and field.required and name not in leave:
                yield base, f"Object missing required field `{name}`", False
    elif isinstance(raw, list):
        for option in options:
            of = get_args(option)
            if get_origin(option) in (list, tuple) and (len(of) == 1 or of[1] is ...):
                for index, item in enumerate(raw):
                    yield from _errors(item, of[0], (*base, index))
                return


def _options(kind: Any) -> list[Any]:
    """Return the types that a value may have, without what only limits them."""
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [option for part in get_args(kind) for option in _options(part)]
    return [kind]


def _struct_of(raw: dict[str, Any], options: list[Any]) -> Any:
    """Return the struct that a mapping is meant to be, None if that is open."""
    structs = [option for option in options if isinstance(option, type) and issubclass(option, msgspec.Struct)]
    if len(structs) == 1:
        return structs[0]
    tags = [(struct.__struct_config__.tag_field, struct.__struct_config__.tag, struct) for struct in structs]
    return next((struct for field, tag, struct in tags if field and raw.get(field) == tag), None)


def _explained(steps: Steps, said: str, is_key: bool, raw: object, section: str) -> tuple[Steps, str, str]:
    """Return what msgspec says in the words of a registry file, and what the schema expects there."""
    if field := re.fullmatch(r"Object contains unknown field `(.*)`", said, re.DOTALL):
        known = list(_schema_at(section, raw, steps).get("properties", ()))
        return (*steps, field[1]), "is not a field of the schema", _nearest(field[1], known)
    if field := re.fullmatch(r"Object missing required field `(.*)`", said):
        return (*steps, field[1]), "is missing", "There are no silent defaults: write null where the schema allows it."
    if value := re.fullmatch(r"Invalid (?:enum )?value '?(.*?)'?", said, re.DOTALL):
        allowed = ", ".join(_allowed(_schema_at(section, raw, steps), keys=is_key)) or "another value"
        match = f"has the key {value[1]}" if is_key else f"is {_value_at(raw, steps)}"
        return steps, f"{match}, expected one of {allowed}", ""
    if expected := _EXPECTED.fullmatch(said):
        kinds = " or ".join(_WORDS.get(kind.strip(), kind) for kind in expected["types"].split("|"))
        limit = expected["limit"]
        if limit.startswith(" of length") and expected["got"]:  # which only lists of one length tell
            return steps, f"has {expected['got']} items, expected {kinds}{limit}", ""
        return steps, f"is {_value_at(raw, steps, expected['got'])}, expected {kinds}{limit}", ""
    return steps, f"breaks the schema: {said}", ""


def _place(steps: Steps) -> str:
    """Return where a value stands, such as `slow_r50_8x8: model.width`."""
    section, rest = (str(steps[0]) if steps else ""), steps[1:]
    if section not in _OWNERS or not rest:
        return _dotted(steps) or "the file"
    owner = f"{_OWNERS[section]}{rest[0]}"
    return shortened(owner, 100) + (f": {_dotted(rest[1:])}" if rest[1:] else "")


def _dotted(steps: Steps) -> str:
    dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{shortened(step, 100)}" for step in steps)
    return shortened(dotted.lstrip("."), 200)


def _steps(path: str) -> Steps:
    """Read msgspec's `.after[...][1]`, where [...] is any value of a mapping and becomes `*`."""
    parts = re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", path)
    return tuple(name or (int(index) if index.isdigit() else "*") for name, index in parts)


def _value_at(raw: Any, steps: Steps, kind: str | None = None) -> str:
    """Return the value that `steps` lead to, or its kind where they end in any value of a mapping."""
    for step in steps:
        if step == "*":
            return _WORDS.get((kind or "").strip("`"), "something else")
        raw = raw[step]
    return shown(raw)


def _nearest(word: str, known: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return (f"Did you mean {close[0]}? " if close else "") + f"Known here: {', '.join(known)}."


def _allowed(node: dict[str, Any], *, keys: bool) -> list[str]:
    options = [node.get("propertyNames", {})] if keys else node.get("anyOf", [node])
    return [str(value) for option in options for value in option.get("enum", ())]


def _schema_at(section: str, raw: Any, steps: Steps) -> dict[str, Any]:
    """Return the JSON Schema of the value that `steps` lead to; `raw` chooses between tagged structs."""
    from videohub.registry import json_schema

    whole = json_schema.file_schema()
    node = whole["properties"][section]
    node = next((option for option in node.get("anyOf", ()) if "additionalProperties" in option), node)
    node = _resolved(whole, node.get("additionalProperties") or node, raw)
    for step in steps:
        if step == node.get("discriminator", {}).get("propertyName"):
            return {"enum": list(node["discriminator"]["mapping"])}
        if isinstance(step, int):
            items: dict[str, Any] = next(
                (option for option in node.get("anyOf", [node]) if option.get("type") == "array"), {}
            )
            node = items["prefixItems"][step] if "prefixItems" in items else items.get("items", {})
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
    elif isinstance(raw, list):
        return node
    else:
        references = [option["$ref"] for option in node.get("anyOf", [node]) if "$ref" in option]
        reference = references[0] if references else None
    return whole["$defs"][reference.rsplit("/", 1)[1]] if reference else node
