"""Records become a registry file again: readable, in the order of their fields, and read back to the same values."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import msgspec

from videohub.architectures import Part
from videohub.errors import RegistryError
from videohub.protocols import Protocol
from videohub.registry import reader
from videohub.registry.reader import SCHEMA_VERSION
from videohub.registry.schema import DatasetInfo, Record

_WIDTH = 120


def text(records: Iterable[Record], *, known: Container[str] = ()) -> str:
    """Return a registry file of these records and the protocols that they refer to.

    The same records give the same text, whatever versions of the libraries are at work: bundles compare it.
    A file on this machine is named as one that lies beside the registry.

    Args:
        records: What to write, in this order; none of their names may come twice.
        known: Names of protocols that another file states; the text refers to them only.
    Raises: RegistryError if one name stands for two protocols.
    """
    records = [as_decoded(record) for record in records]
    protocols: dict[str, Protocol] = {}
    written: dict[str, Any] = {}
    for record in records:
        protocol = record.protocol
        if protocols.setdefault(protocol.name, protocol) != protocol:
            raise RegistryError(f"{record.name}: its protocol {protocol.name} is another than that of other records")
        written[record.name] = _fields(record)
    ours = reader.read([]).datasets
    datasets = {record.dataset.name: _fields(record.dataset) for record in records if record.dataset.name not in ours}
    stated = {name: _fields(protocol) for name, protocol in protocols.items() if name not in known}
    of_datasets = [*_section("datasets", datasets), ""] if datasets else []
    sections = [*of_datasets, *_section("protocols", stated), "", *_section("records", written)]
    return "\n".join([f"schema_version: {SCHEMA_VERSION}", "", *sections]) + "\n"


def draft(like: Record, name: str | None) -> str:
    """Return the text of a registry file to edit: one record like another, without what is true of that alone.

    It states what is not a default, and refers to the other's protocol.
    """
    fields = _fields(like)
    for of_that in ("aliases", "publisher", "superseded_by", "proof", "known_answers"):
        fields.pop(of_that, None)
    fields |= {
        "model": _differing(like.model),
        "checkpoint": {"url": "FILE.pth", "sha256": None, "size": None, "container": None,
                       "layout": like.checkpoint.layout, "license": "TO BE FILLED IN"},
        "published": [], "config": None, "status": "available", "notes": [],
    }  # fmt: skip
    lines = [f"schema_version: {SCHEMA_VERSION}", "", *_section("records", {name or f"my_{like.name}": fields})]
    return _DRAFT + "\n".join(lines) + "\n"


_DRAFT = """\
# A registry of one's own. Edit it, then
#   videohub registry check THIS_FILE         tells everything that is wrong with it
#   videohub --registry THIS_FILE list        uses it, as does VIDEOHUB_REGISTRY=THIS_FILE
# `url` is an address or a file beside this one. `published` are numbers that its source states, such as
#   published: [{top1: 71.2, source: "its README"}]
# Tables for keys that videohub does not know lie in a folder `converters` beside this file; `protocols` may hold one's
# own, and `labels` may be a list of names or a file of them.

"""


def as_decoded(record: Record) -> Record:
    """Return an equal record whose defaults are left out as it is written, whatever it was made of.

    Older versions of msgspec know a default by which object it is.
    """
    return msgspec.json.decode(msgspec.json.encode(record), type=Record)


def listed(value: msgspec.Struct, indent: str) -> list[str]:
    """Return the lines of a value as an item of a list in a registry file."""
    return _item(msgspec.to_builtins(value), indent)


def is_local(url: str) -> bool:
    """Tell whether a record's URL is a file's: of this machine, or one beside the registry."""
    return url.casefold().startswith("file:") or "://" not in url


def _fields(value: Record | Protocol | DatasetInfo) -> dict[str, Any]:
    """Return the fields as a file has them: the name is the key there, and a protocol is referred to."""
    fields: dict[str, Any] = msgspec.to_builtins(value)
    del fields["name"]
    if isinstance(value, Record):
        fields["protocol"] = value.protocol.name
        del fields["dataset"]
        files = [fields["checkpoint"], *fields.pop("other_checkpoints", ())]
        clips = [answer["input"] for answer in fields.get("known_answers", ()) if "url" in answer["input"]]
        for file in (*files, *clips):
            for each in (file, *file.get("beside", ())):
                if (url := each["url"]) and is_local(url):
                    each["url"] = unquote(url.rpartition("/")[2])
        fields["checkpoint"] = files[0] if len(files) == 1 else files
    return fields


def _differing(part: Part) -> dict[str, Any]:
    """Return what a part of a network's description says that is not a default."""
    tag = part.__struct_config__
    fields: dict[str, Any] = {str(tag.tag_field): tag.tag} if tag.tag_field else {}
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if value != default:  # of a required field, which has none, too
            fields[field.name] = _differing(value) if isinstance(value, Part) else msgspec.to_builtins(value)
    return fields


def _section(name: str, entries: dict[str, dict[str, Any]]) -> list[str]:
    """Return the lines of a section: a paragraph for each entry, and a line or more for each of its fields."""
    lines = [f"{name}:" if entries else f"{name}: {{}}"]
    for key, fields in entries.items():
        lines += ["", f"  {_key(key)}:"]
        lines += [line for field, value in fields.items() for line in _field(field, value, "    ")]
    return lines


def _field(name: str, value: Any, indent: str) -> list[str]:
    """Return the lines of a field: one where that fits, else one for each part of it."""
    start, inner = f"{indent}{_key(name)}:", f"{indent}  "
    line = f"{start} {_flow(value)}"
    if len(line) > _WIDTH and isinstance(value, dict):
        return [start, *(line for key, part in value.items() for line in _field(key, part, inner))]
    if len(line) > _WIDTH and isinstance(value, (list, tuple)):
        return [start, *(line for part in value for line in _item(part, inner))]
    return [line]


def _item(value: Any, indent: str) -> list[str]:
    """Return the lines of a list's item."""
    line = f"{indent}- {_flow(value)}"
    if len(line) <= _WIDTH or not isinstance(value, dict):
        return [line]
    lines = [line for key, part in value.items() for line in _field(key, part, f"{indent}  ")]
    return [f"{indent}- {lines[0].lstrip()}", *lines[1:]]


def _flow(value: Any) -> str:
    """Return a value in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)}: {_flow(part)}" for name, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):  # 1e-05 is text to YAML 1.1
        plain = f"{Decimal(repr(value)):f}"
        return plain if "." in plain else f"{plain}.0"
    return json.dumps(value)


def _key(name: str) -> str:
    """Return a key, quoted if YAML could take it for anything but text."""
    plain = re.fullmatch(r"[a-z_]\w*", name, re.ASCII | re.IGNORECASE)
    return name if plain and name.casefold() not in _GUESSED else _quoted(name)


_GUESSED = {"yes", "no", "y", "n", "on", "off", "true", "false", "null"}

# What YAML 1.1 would fold, refuse or lose in a quoted text: line ends of its own, controls, surrogates.
_ESCAPED = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def _quoted(words: str) -> str:
    """Return text in double quotes; JSON's escapes are YAML's too."""
    return _ESCAPED.sub(_escape, json.dumps(words, ensure_ascii=False))


def _escape(letter: re.Match[str]) -> str:
    return f"\\u{ord(letter[0]):04x}"
