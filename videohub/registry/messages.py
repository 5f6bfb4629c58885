"""What is wrong with a registry file, and how it is told: which record, field and line, what was found, what to do.

All of it is gathered in `Messages` and told at once. What only broken files need is imported late.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import msgspec

from videohub.errors import RegistryError
from videohub.escaping import shortened
from videohub.formatting import listed
from videohub.protocols import Flaw

Steps: TypeAlias = tuple["str | int", ...]  # from the top of a file to a value: ("records", "slow_r50_8x8", "rate")

_FEW = 12  # names that a message lists
MOST, KEPT = 50, 5_000  # messages that an error lists, and that are kept of files that break everywhere

_OWNERS = {"records": "", "protocols": "protocol ", "datasets": "data set "}  # what an entry of a section is called
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_EXPECTED = re.compile(r"Expected `(?P<types>[^`]+)`(?P<limit>.*?)(, got \S+)?", re.DOTALL)


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
        self._of_places: dict[tuple[Path, Steps], Message] = {}
        self._total = 0

    def add(self, file: Path, steps: Steps, what: str, *, line: int | None = None, advice: str = "") -> None:
        """Note `what` is wrong with the value that `steps` lead to, unless something was wrong with it before."""
        if (file, steps) in self._of_places:
            return
        self._total += 1
        if self._total <= KEPT:
            self._of_places[file, steps] = message(file, steps, what, line=line, advice=advice)

    def extend(self, file: Path, messages: Iterable[Message]) -> None:
        """Note what is wrong with a file that cannot be read to its end."""
        for each in messages:
            self._total += 1
            self._of_places[file, ("", self._total)] = each

    def check(self) -> None:
        """Raise BrokenRegistryError if anything was wrong."""
        if self._total:
            raise BrokenRegistryError([*self._of_places.values()], self._total)


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


# --- names that lead nowhere, looked up as a file has them: also where something else is wrong -----------------------


def unknown_in_protocol(raw: Any, datasets: Collection[str]) -> Iterator[Flaw]:
    """Yield a metric and a data set that nobody knows."""
    from videohub import metrics  # `videohub show` imports this file for labels, and would wait for it

    fields = raw if isinstance(raw, dict) else {}
    metric, dataset = fields.get("metric"), fields.get("dataset")
    if isinstance(metric, str) and metric not in metrics.names():
        yield ("metric",), f"is {shown(metric)}, expected one of {', '.join(metrics.names())}", ""
    if isinstance(dataset, str) and dataset not in datasets:
        advice = f"Known: {', '.join(datasets)}. Others stand in `datasets`, such as `ours: {{title: Ours}}`."
        yield ("dataset",), f"is {shown(dataset)}, which is no known data set", advice


def unknown_in_record(
    fields: Mapping[str, Any],
    protocols: Collection[str],
    layouts: Mapping[str, Collection[str]],
    datasets: Collection[str],
) -> Iterator[Flaw]:
    """Yield protocols and data sets that nobody knows, and layouts that no table reads into the record's network."""
    protocol, model, files = fields.get("protocol"), fields.get("model"), fields.get("checkpoint")
    if "protocol" in fields and (not isinstance(protocol, str) or protocol not in protocols):
        yield ("protocol",), f"is {shown(protocol)}, which is no known protocol", _offered(str(protocol), protocols)
    family = str(model.get("family")) if isinstance(model, dict) else ""
    places = [((index,), file) for index, file in enumerate(files)] if isinstance(files, list) else [((), files)]
    for place, file in places:
        layout = file.get("layout") if isinstance(file, dict) else None
        if isinstance(layout, str) and family in layouts and layout not in layouts[family]:
            what = f"is {shown(layout)}, and no table reads that into {family}"
            advice = f"A table lies in converters/{family}/, ours or the one beside a registry."
            yield ("checkpoint", *place, "layout"), what, advice
    published = fields.get("published")
    for index, number in enumerate(published if isinstance(published, list) else ()):
        mapped = number.get("mapped") if isinstance(number, dict) else None
        dataset = mapped.get("dataset") if isinstance(mapped, dict) else None
        if isinstance(dataset, str) and dataset not in datasets:
            what = f"is {shown(dataset)}, which is no known data set"
            yield ("published", index, "mapped", "dataset"), what, f"Known: {', '.join(datasets)}."


def unknown_records(fields: Mapping[str, Any], name: str, owners: Mapping[str, str]) -> Iterator[Flaw]:
    """Yield references of the record `name` to itself, or to none; `owners` are the ids behind names."""
    pretrain, superseded_by = fields.get("pretrain"), fields.get("superseded_by")
    references: list[tuple[Steps, Any]] = [(("pretrain",), pretrain)]
    if isinstance(superseded_by, list):
        references += [(("superseded_by", index), other) for index, other in enumerate(superseded_by)]
    for place, other in references:
        owner = owners.get(other.casefold()) if isinstance(other, str) else ""
        if owner is None:
            advice = "Name one of this file or of those read before it, or write null."
            if place != ("pretrain",):
                advice = "Say in `notes` what is known and has no record."
            yield place, f"is {shown(other)}, which is no record", advice
        elif owner == name:
            yield place, f"is {shown(other)}, the record itself", ""


# --- values that are not of their type -------------------------------------------------------------------------------


def schema_flaws(
    raw: Any, kind: Any, steps: Steps = (), *, derived: Mapping[str, str] | None = None, elsewhere: Collection[str] = ()
) -> Iterator[Flaw]:
    """Yield all that keeps a value from being of a type; msgspec by itself stops at the first.

    `derived` are fields of the struct that files do not have, and what to do instead; `elsewhere` those passed over.
    """
    options = _options(kind)
    of_parts = [*_flaws_of_parts(raw, options, steps, derived or {}, elsewhere)]
    yield from of_parts
    if of_parts or derived or elsewhere:
        return
    try:
        msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        yield steps, _explained(str(error), raw, options), ""


def _flaws_of_parts(
    raw: Any, options: list[Any], steps: Steps, derived: Mapping[str, str], elsewhere: Collection[str]
) -> Iterator[Flaw]:
    structs = [option for option in options if isinstance(option, type) and issubclass(option, msgspec.Struct)]
    if isinstance(raw, dict) and structs:
        yield from _flaws_of_struct(raw, structs, steps, derived, elsewhere)
        return
    for option in options:
        origin, of = get_origin(option), get_args(option)
        if isinstance(raw, dict) and origin is dict:
            for key, value in raw.items():
                for _, what, advice in schema_flaws(key, of[0]):
                    yield steps, f"has a key that {what}", advice
                yield from schema_flaws(value, of[1], (*steps, key))
        elif isinstance(raw, list) and origin in (list, tuple):
            kinds = [of[0]] * len(raw) if origin is list or of[-1] is ... else of
            for index, (item, kind) in enumerate(zip(raw, kinds, strict=False)):  # a wrong length is the list's flaw
                yield from schema_flaws(item, kind, (*steps, index))


def _flaws_of_struct(
    raw: dict[str, Any], structs: list[Any], steps: Steps, derived: Mapping[str, str], elsewhere: Collection[str]
) -> Iterator[Flaw]:
    """Yield what is wrong with the fields of a mapping that is meant to be one of several structs."""
    struct, tag_field = structs[0], structs[0].__struct_config__.tag_field
    if tag_field is not None:
        tags = {each.__struct_config__.tag: each for each in structs}
        if tag_field not in raw:
            yield (*steps, tag_field), "is missing", f"Known here: {', '.join(tags)}."
            return
        if not isinstance(raw[tag_field], str) or raw[tag_field] not in tags:
            yield (*steps, tag_field), f"is {shown(raw[tag_field])}, expected one of {', '.join(tags)}", ""
            return
        struct = tags[raw[tag_field]]
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct) if field.encode_name not in derived}
    for name, value in raw.items():
        if name in fields and name not in elsewhere:
            yield from schema_flaws(value, fields[name].type, (*steps, name))
        elif name not in fields and name != tag_field:
            yield (*steps, name), "is not a field of the schema", derived.get(name) or _nearest(name, fields)
    for name, field in fields.items():
        if field.required and name not in raw:
            advice = "There are no silent defaults: write null where the schema allows it."
            yield (*steps, name), "is missing", advice


def _options(kind: Any) -> list[Any]:
    """Return the types that a value may have, without what only limits them."""
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [option for part in get_args(kind) for option in _options(part)]
    return [kind]


def _explained(error: str, raw: object, options: list[Any]) -> str:
    """Return what msgspec says of a value in the words of a registry file."""
    allowed = [str(value) for option in options if get_origin(option) is Literal for value in get_args(option)]
    if allowed and error.startswith("Invalid"):
        return f"is {shown(raw)}, expected one of {', '.join(sorted(allowed))}"
    match = _EXPECTED.fullmatch(error)
    if match is None:
        return f"breaks the schema: {error}"
    limit = match["limit"]
    if isinstance(raw, list) and limit.startswith(" of length "):
        number = limit.removeprefix(" of length ").replace(">=", "at least").replace("<=", "at most")
        return f"has {len(raw)} item{'s' * (len(raw) != 1)}, expected {number}"
    kinds = " or ".join(_WORDS.get(kind.strip(), kind) for kind in match["types"].split("|"))
    return f"is {shown(raw)}, expected {kinds}{limit}"


def _offered(word: str, known: Collection[str]) -> str:
    """Return what is known, or of more than can be looked through the three that look most like a word."""
    import difflib

    if len(known) <= _FEW:
        return f"Known: {', '.join(known) or 'none'}."
    return f"Did you mean {listed(difflib.get_close_matches(word[:200], known, n=3, cutoff=0), 'or')}?"


def _nearest(word: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return (f"Did you mean {close[0]}? " if close else "") + f"Known here: {', '.join(known)}."


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
