"""Registry files become records: strictly typed, checked against each other, and merged."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from videohub import metrics
from videohub.errors import RegistryError, UsageError
from videohub.escaping import visible
from videohub.registry import labels, strict_yaml
from videohub.registry.complaints import Steps, complaint, shown
from videohub.registry.schema import FIELDS, Protocol, Record
from videohub.registry.strict_yaml import Document

SCHEMA_VERSION = 1
_SECTIONS = ("schema_version", "protocols", "records")
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def read(files: Iterable[Path]) -> dict[str, Record]:
    """Return the records of all `files`, in their order.

    A later file may refer to the protocols and records of an earlier one, but not repeat their names.

    Raises: RegistryError naming the file, the record and the field.
    """
    protocols: dict[str, Protocol] = {}
    homes: dict[str, Path] = {}  # of the protocols
    records: dict[str, Record] = {}
    origins: dict[str, tuple[str, Document]] = {}  # by case-folded name
    for file in files:
        document = strict_yaml.read(file)
        _check_sections(document)
        for name, protocol in _protocols(document).items():
            if name in protocols:
                what = f"is also in {homes[name]}"
                raise complaint(file, ("protocols", name), what, advice="Give one another name.")
            protocols[name], homes[name] = protocol, file
        for name, raw in document.value["records"].items():
            steps = ("records", name)
            if name.casefold() in origins:
                other, where = origins[name.casefold()][0], origins[name.casefold()][1].file
                what = f"repeats the name {other} of {where if where != file else 'this file'}"
                raise _complaint(document, steps, what, "Names must differ in more than case; choose another.")
            records[name] = _record(document, name, raw, protocols)
            origins[name.casefold()] = (name, document)
    for name, record in records.items():
        if record.pretrain is not None and record.pretrain not in records:
            what = f"is {shown(record.pretrain)}, which is no record"
            advice = "Name a record of this file or of one read before it, or write null."
            raise _complaint(origins[name.casefold()][1], ("records", name, "pretrain"), what, advice)
    return records


def _check_sections(document: Document) -> None:
    value = document.value
    if not isinstance(value, dict) or set(value) != set(_SECTIONS):
        found = ", ".join(value) if isinstance(value, dict) else "no mapping"
        raise complaint(document.file, (), f"has {found or 'nothing'}, expected the sections {', '.join(_SECTIONS)}")
    version = value["schema_version"]
    if version is True or version != SCHEMA_VERSION:
        what = f"is {shown(version)}, and this videohub reads {SCHEMA_VERSION}"
        raise _complaint(document, ("schema_version",), what, "If the file is newer, update videohub.")
    for section in ("protocols", "records"):
        if not isinstance(value[section], dict):
            raise _complaint(document, (section,), "is not a mapping of names", "Write {} where there are none.")


def _protocols(document: Document) -> dict[str, Protocol]:
    found: dict[str, Protocol] = {}
    for name, raw in document.value["protocols"].items():
        steps = ("protocols", name)
        found[name] = protocol = _convert(document, steps, raw, {}, Protocol)
        if protocol.metric not in metrics.names():
            what = f"is {shown(protocol.metric)}, expected one of {', '.join(metrics.names())}"
            raise _complaint(document, (*steps, "metric"), what, "")
        if metrics.of(protocol.metric).by_box != (protocol.detection is not None):
            what = f"is {'null' if protocol.detection is None else 'given'}, and the metric is {protocol.metric}"
            raise _complaint(document, (*steps, "detection"), what, "AVA's metric needs it, no other one has it.")
    return found


def _record(document: Document, name: str, raw: Any, protocols: dict[str, Protocol]) -> Record:
    steps = ("records", name)
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        what = "is not a name that Python and torch.hub can use"
        advice = "Take letters, digits and underscores, starting with a letter, and no keyword."
        raise _complaint(document, steps, what, advice)
    inner: dict[str, Any] = {}
    if isinstance(raw, dict) and "protocol" in raw:
        if not isinstance(raw["protocol"], str) or raw["protocol"] not in protocols:
            what = f"is {shown(raw['protocol'])}, which is no known protocol"
            raise _complaint(document, (*steps, "protocol"), what, f"Known: {', '.join(protocols) or 'none'}.")
        inner["protocol"] = protocols[raw["protocol"]]
    record = _convert(document, steps, raw, inner, Record)
    for field, what, advice in _contradictions(record):
        raise _complaint(document, (*steps, *field), what, advice)
    if record.labels is not None:
        record = _labelled(document, steps, record)
    url = record.checkpoint.url
    if url is not None and "://" not in url:  # relative to the file that names it
        absolute = (document.file.resolve().parent / url).resolve().as_uri()
        record = msgspec.structs.replace(record, checkpoint=msgspec.structs.replace(record.checkpoint, url=absolute))
    return record


def _labelled(document: Document, steps: Steps, record: Record) -> Record:
    """Return a record with the names of its outputs, which may lie in a file beside the registry."""
    given = record.labels if isinstance(record.labels, tuple) else str(record.labels)
    try:
        found = labels.resolve(given, document.file.resolve().parent)
    except UsageError as error:
        raise _complaint(document, (*steps, "labels"), f"cannot be used: {error}", "") from error
    if labels.count(found) != record.model.num_classes:
        what = f"is {labels.told(found)}, and the network has {record.model.num_classes} outputs"
        raise _complaint(document, (*steps, "labels"), what, "Name each output, or write null for none of them.")
    return msgspec.structs.replace(record, labels=found)


_ALTERNATE = r"https?://[^/]+/.+|hf://[^/@]+/[^/@]+/[^@]+@[^@/]+"


def _contradictions(record: Record) -> Iterable[tuple[Steps, str, str]]:
    """Yield fields that are well typed but do not agree: the field, what is wrong, and advice."""
    url, status, published = record.checkpoint.url, record.status, record.published
    if status == "unreleased":
        if url is not None:
            yield ("checkpoint", "url"), "is given, and the status is unreleased", "Write null, or correct the status."
        if not record.superseded_by:
            yield ("superseded_by",), "is missing", "An unreleased record names what to use in its place."
    else:
        if not url:
            yield ("checkpoint", "url"), f"is {'null' if url is None else 'empty'}, and the status is {status}", ""
        if record.superseded_by:
            yield ("superseded_by",), f"is given, and the status is {status}", "Only unreleased records have it."
    if url is not None and (flaw := _flaw(url)):
        yield ("checkpoint", "url"), f"is {shown(url)}, which is no address: {flaw}", ""
    if odd := [
        alternate
        for alternate in record.checkpoint.alternates
        if _flaw(alternate) or not re.fullmatch(_ALTERNATE, alternate)
    ]:
        yield ("checkpoint", "alternates"), f"has {shown(odd[0])}", "Expected https or hf://org/repo/file@revision."
    if published is not None:
        fields = {name: field for field, name in FIELDS.items()}
        given = {fields.get(name, "others") for name in published.numbers()}
        wanted = {fields.get(name, "others") for name in metrics.of(record.protocol.metric).numbers}
        if not given:
            yield ("published",), "holds no number", "Give top1, top5 or map, or write null in its place."
        if given - wanted:
            yield ("published", *sorted(given - wanted)[:1]), f"does not fit the metric {record.protocol.metric}", ""


def _flaw(url: str) -> str | None:
    """Return why nothing can be fetched from a URL or lie at a path, None if that is not to be seen."""
    if visible(unquote(url)) != unquote(url):
        return "it holds a control character"
    try:
        urlsplit(url).port  # noqa: B018  # looks at the host, too
    except ValueError as error:
        return str(error)
    return None


def _convert(document: Document, steps: Steps, raw: Any, inner: dict[str, Any], kind: type[_Struct]) -> _Struct:
    if not isinstance(raw, dict):
        raise _complaint(document, steps, "is not a mapping of fields", "")
    if "name" in raw:
        raise _complaint(document, (*steps, "name"), "is not a field of the schema", "The key is the name.")
    try:
        return msgspec.convert({**raw, **inner, "name": steps[1]}, kind)
    except msgspec.ValidationError as error:
        from videohub.registry.explaining import explain  # its words are for broken files only

        inside, what, advice = explain(error, raw, str(steps[0]))
        raise _complaint(document, (*steps, *inside), what, advice) from error


def _complaint(document: Document, steps: Steps, what: str, advice: str) -> RegistryError:
    return complaint(document.file, steps, what, line=document.line(steps), advice=advice)
