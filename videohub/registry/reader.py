"""Registry files become records: strictly typed, checked against each other, and merged; all errors are told at once.

`_Sections` says what a file holds. Key tables of one's own lie in a folder `converters` beside it, laid out as ours.
"""

from __future__ import annotations

import keyword
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from videohub import architectures, metrics, resources
from videohub.errors import UsageError
from videohub.protocols import Flaw, Protocol
from videohub.registry import labels, strict_yaml
from videohub.registry.lookup import Registry, costs_of, entry
from videohub.registry.messages import (
    BrokenRegistryError,
    Messages,
    Steps,
    schema_flaws,
    shown,
    unknown_in_protocol,
    unknown_in_record,
    unknown_records,
)
from videohub.registry.schema import (
    OWN_LAYOUT,
    DatasetInfo,
    Labels,
    Publisher,
    Record,
    flaw_of_url,
    with_one_checkpoint,
    with_urls,
)
from videohub.registry.strict_yaml import Document

SCHEMA_VERSION = 1
_NAMED = {"name": "The key is the name."}
DERIVED: dict[Any, dict[str, str]] = {  # fields that a file does not have, and what to do instead
    Protocol: _NAMED,
    DatasetInfo: _NAMED,
    Record: {**_NAMED, "dataset": "The protocol names it.", "other_checkpoints": "List them in checkpoint."},
}
NOT_SHARED = ("upstream_name", "aliases", "publisher")

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class _Sections(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stands at the top of a file."""

    schema_version: int
    include: str | list[str] = []  # patterns of further files beside it, which are read after it
    publisher_order: list[str] = []  # of two publishers with one upstream name, the first one's is meant
    publisher: dict[str, Any] | None = None  # who made its checkpoints public
    shared: dict[str, Any] = {}  # what its records have unless they say otherwise; `_merged` joins the two
    protocols: dict[str, Any] = {}  # by name; records here and in files that are read later refer to them
    datasets: str | dict[str, Any] = {}  # one's own: as in `datasets.yaml`, or the name of such a file beside this one
    records: dict[str, Any]


def read(files: Iterable[Path], *, unread: Callable[[DatasetInfo], str | None] = lambda dataset: None) -> Registry:
    """Return all that `files` hold, in their order.

    A later file may refer to what an earlier one holds, but not repeat its names.

    `unread` says why nothing reads the lists of a data set, which is an error then; `data` knows, above us.
    Raises: RegistryError naming each file, record and field that is wrong.
    """
    reader = _Reader(unread)
    reader.read_datasets(resources.datasets_file())
    for file in files:
        reader.read(file)
    return reader.registry()


class _Reader:
    """What was read so far, and what was wrong with it."""

    def __init__(self, unread: Callable[[DatasetInfo], str | None]) -> None:
        self.unread = unread
        self.messages = Messages()
        self.files: list[Path] = []
        self.already_read: set[Path] = set()
        self.publishers: dict[str, Publisher] = {}
        self.publisher_order: list[str] = []
        self.protocols: dict[str, Protocol | None] = {}  # None for a broken one
        self.datasets: dict[str, DatasetInfo] = {}
        self.records: dict[str, Record] = {}
        self.unresolved: list[tuple[Document, Steps, dict[str, Any]]] = []  # records, as the files have them
        self.homes: dict[tuple[str, str], Path] = {}  # (section, name) -> its file
        self.names: dict[str, tuple[str, Path]] = {}  # case-folded id or alias -> the id, and its file

    def registry(self) -> Registry:
        """Return what was read, after looking at what refers to other records."""
        owners = {name: owner for name, (owner, _) in self.names.items()}
        for document, steps, fields in self.unresolved:
            self._add_flaws(document, steps, unknown_records(fields, str(steps[-1]), owners))
        self.messages.check()
        order = [name for name in self.publisher_order if name in self.publishers]
        return Registry(
            records=self.records,
            entries={name: entry(record) for name, record in self.records.items()},
            publishers={name: self.publishers[name] for name in [*order, *self.publishers]},
            protocols={name: protocol for name, protocol in self.protocols.items() if protocol is not None},
            datasets=self.datasets,
            costs=costs_of(self.records),
            files=tuple(self.files),
        )

    def read(self, file: Path, *, included: bool = False) -> None:
        """Read a file, and those that it includes; one that was read already is left aside."""
        if file.resolve() in self.already_read:
            return
        self.already_read.add(file.resolve())
        document = self._document(file)
        if document is None or self._add_flaws(document, (), schema_flaws(document.value, _Sections)):
            return
        sections = msgspec.convert(document.value, _Sections)
        if sections.schema_version != SCHEMA_VERSION:
            what = f"is {sections.schema_version}, and this videohub reads {SCHEMA_VERSION}"
            self._error(document, ("schema_version",), what, "If the file is newer, update videohub.")
            return
        shared = self._shared(document, sections)
        self.publisher_order += sections.publisher_order
        self._add_datasets(document, ("datasets",), sections.datasets)
        for name, raw in sections.protocols.items():
            self._add_protocol(document, name, raw)
        tables = resources.tables(self.files)
        layouts = {
            family: {OWN_LAYOUT, *(layout for of, layout in tables if of == family)}
            for family in architectures.families()
        }
        for name, raw in sections.records.items():
            self._add_record(document, name, raw, shared, layouts)
        patterns = [sections.include] if isinstance(sections.include, str) else sections.include
        if patterns and included:
            self._error(document, ("include",), "is given in a file that is itself included", "Name it there.")
        else:
            self._include(document, patterns)

    def _document(self, file: Path) -> Document | None:
        """Return what a file holds, None if that cannot be read to its end."""
        self.files.append(file)
        try:
            return strict_yaml.read(file, self.messages)
        except BrokenRegistryError as error:
            self.messages.extend(file, error.messages)
            return None

    def _include(self, document: Document, patterns: list[str]) -> None:
        folder = document.file.resolve().parent
        for pattern in patterns:
            if not pattern or Path(pattern).is_absolute():
                self._error(document, ("include",), f"names {shown(pattern)}, expected a file or a pattern beside it")
                continue
            self.files.append((folder / pattern).parent)  # where another file may come
            try:
                files = sorted(file for file in folder.glob(pattern) if not file.is_dir())
            except (ValueError, IndexError, OSError, RecursionError):  # "**x" and ".", or longer than disks have
                self._error(document, ("include",), f"names {shown(pattern)}, which is no pattern of files")
                continue
            if not files and "*" not in pattern:
                self._error(document, ("include",), f"names {shown(pattern)}, and there is no such file beside it")
            for file in files:
                self.read(file, included=True)

    # --- what stands once at the head ---

    def _shared(self, document: Document, sections: _Sections) -> dict[str, Any]:
        """Return the fields that a file's records share; their publisher is one of them."""
        fields = {name for name in Record.__struct_fields__ if name not in NOT_SHARED and name not in DERIVED[Record]}
        for name in sections.shared.keys() - fields:
            what = "is not a field that records can share"
            self._error(document, ("shared", name), what, f"Known here: {', '.join(sorted(fields))}.")
        shared = {name: value for name, value in sections.shared.items() if name in fields}
        raw = sections.publisher
        publisher = None if raw is None else self._converted(document, ("publisher",), raw, Publisher)
        if publisher is None:
            return shared
        home = self.homes.setdefault(("publisher", publisher.name), document.file)
        if self.publishers.setdefault(publisher.name, publisher) != publisher:
            what = f"{publisher.name} is described otherwise in {home}"
            self._error(document, ("publisher",), what, "Say the same in both files, or take another name.")
        return {**shared, "publisher": publisher.name}

    def _add_protocol(self, document: Document, name: str, raw: Any) -> None:
        steps = ("protocols", name)
        if (home := self.homes.setdefault(steps, document.file)) != document.file:
            self._error(document, steps, f"is also in {home}", "Give one another name.")
        self.protocols[name] = None  # of two, this file's records mean its own
        protocol = self._converted(document, steps, raw, Protocol)
        has_unknown = self._add_flaws(document, steps, unknown_in_protocol(raw, self.datasets))
        if protocol is None:
            return
        self._add_flaws(document, steps, protocol.flaws())
        if has_unknown:
            return
        self.protocols[name] = protocol
        if metrics.of(protocol.metric).by_box != (protocol.detection is not None):
            what = f"is {'null' if protocol.detection is None else 'given'}, and the metric is {protocol.metric}"
            self._error(document, (*steps, "detection"), what, "A metric of boxes needs it, no other one has it.")

    def read_datasets(self, file: Path) -> None:
        """Read a file of data sets: a mapping of their names."""
        document = self._document(file)
        if document is not None and not self._add_flaws(document, (), schema_flaws(document.value, dict[str, Any])):
            self._add_datasets(document, (), document.value)

    def _add_datasets(self, document: Document, steps: Steps, datasets: str | dict[str, Any]) -> None:
        """Take data sets of one's own: from this file, or from one beside it."""
        if isinstance(datasets, str):
            file = document.file.resolve().parent / datasets
            if os.path.isfile(file) and not Path(datasets).is_absolute():
                self.read_datasets(file)
            else:
                self._error(document, steps, f"is {shown(datasets)}, and there is no such file beside it")
            return
        for name, raw in datasets.items():
            dataset = self._converted(document, (*steps, name), raw, DatasetInfo)
            if dataset is None:
                continue
            home = self.homes.setdefault(("datasets", name), document.file)
            if self.datasets.setdefault(name, dataset) != dataset:  # one that says the same is the same
                self._error(document, (*steps, name), f"is described otherwise in {home}", "Give one another name.")
            if why := self.unread(dataset):
                self._error(document, (*steps, name, "lists"), f"is {shown(dataset.lists)}: {why}")

    # --- records ---

    def _add_record(
        self, document: Document, name: str, raw: Any, shared: dict[str, Any], layouts: Mapping[str, Collection[str]]
    ) -> None:
        steps = ("records", name)
        self._claim(document, steps, name, name)
        fields = _merged(shared, raw)
        protocol = self.protocols.get(str(fields.get("protocol")))
        dataset = self.datasets.get(protocol.dataset) if protocol else None
        record = self._converted(document, steps, raw, Record, shared, {"protocol": protocol, "dataset": dataset})
        self.unresolved.append((document, steps, fields))
        self._add_flaws(document, steps, unknown_in_record(fields, self.protocols, layouts, self.datasets))
        aliases = fields.get("aliases")
        for index, alias in enumerate(aliases if isinstance(aliases, list) else ()):
            if isinstance(alias, str) and alias:
                self._claim(document, (*steps, "aliases", index), alias, name)
        names = self._labels(document, steps, fields.get("labels"))
        if record is None:
            return
        record = with_one_checkpoint(msgspec.structs.replace(record, labels=names))
        if names is not None and labels.count(names) != record.model.num_classes:
            what = f"is {labels.in_words(names)}, and the network has {record.model.num_classes or 'no'} outputs"
            self._error(document, (*steps, "labels"), what, "Name each output, or write null for none of them.")
        metric = metrics.of(record.protocol.metric)
        self._add_flaws(document, steps, record.flaws(metric.numbers, metric.refused))
        folder = document.file.resolve().parent
        self.records[name] = with_urls(record, lambda url: _located(url, folder))

    def _claim(self, document: Document, steps: Steps, name: str, owner: str) -> None:
        """Take a name for a record, as its id or an alias."""
        what = f"is {shown(name)}, which " if "aliases" in steps[2:] else ""
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            advice = "Take letters, digits and underscores, starting with a letter, and no keyword."
            self._error(document, steps, f"{what}is not a name that Python and torch.hub can use", advice)
        elif name.casefold() in self.names:
            other, home = self.names[name.casefold()]
            advice = "Names must differ in more than case; choose another."
            self._error(document, steps, f"{what}repeats the name {other} of {home}", advice)
        else:
            self.names[name.casefold()] = (owner, document.file)

    def _labels(self, document: Document, steps: Steps, given: Any) -> Labels:
        """Return the names of a record's outputs, which may lie in a file beside the registry; None where none are."""
        is_list = isinstance(given, list) and all(isinstance(name, str) and name for name in given)
        if not (isinstance(given, str) or is_list):  # the schema's matter
            return None
        folder = document.file.resolve().parent
        try:
            names = labels.resolve(given, folder)
        except UsageError as error:
            self._error(document, (*steps, "labels"), f"cannot be used: {error}")
            return None
        if isinstance(given, str) and not isinstance(names, str):
            self.files.append(folder / given)
        return names

    # --- one value ---

    def _converted(
        self,
        document: Document,
        steps: Steps,
        raw: Any,
        kind: type[_Struct],
        shared: Mapping[str, Any] = MappingProxyType({}),
        resolved: Mapping[str, Any] = MappingProxyType({}),
    ) -> _Struct | None:
        """Return a section, or a named value of one, as `kind`, with what names in it lead to; None if it is broken."""
        if not isinstance(raw, dict):
            self._error(document, steps, "is not a mapping of fields")
            return None
        fields, derived = _merged(shared, raw), DERIVED.get(kind, {})
        problem = ""
        if not derived.keys() & fields.keys():
            name = {"name": steps[-1]} if "name" in derived else {}
            try:
                return msgspec.convert({**fields, **resolved, **name}, kind)
            except msgspec.ValidationError as error:
                problem = f"breaks the schema: {error}"
        flaws = [*schema_flaws(fields, kind, derived=derived, elsewhere=resolved)]
        for inside, what, advice in flaws:
            of_shared = _states(shared, inside) and not _states(raw, inside)
            self._error(document, ("shared", *inside) if of_shared else (*steps, *inside), what, advice)
        if not flaws and None not in resolved.values():
            self._error(document, steps, problem)
        return None

    def _add_flaws(self, document: Document, steps: Steps, flaws: Iterable[Flaw]) -> bool:
        """Note what is wrong with a value, and tell whether anything is."""
        listed = [*flaws]
        for field, what, advice in listed:
            self._error(document, (*steps, *field), what, advice)
        return bool(listed)

    def _error(self, document: Document, steps: Steps, what: str, advice: str = "") -> None:
        self.messages.add(document.file, steps, what, line=document.line(steps), advice=advice)


def _merged(shared: Mapping[str, Any], raw: Any) -> dict[str, Any]:
    """Return a record's fields with those that it shares; of mappings, those in a list too, the fields are merged."""
    if not isinstance(raw, dict):
        return {}
    fields = {**shared, **raw}
    for name in shared.keys() & raw.keys():
        if isinstance(shared[name], dict) and isinstance(raw[name], dict):
            fields[name] = {**shared[name], **raw[name]}
        elif isinstance(shared[name], dict) and isinstance(raw[name], list):
            fields[name] = [{**shared[name], **item} if isinstance(item, dict) else item for item in raw[name]]
    if "published" not in raw and isinstance(shared.get("published"), dict):
        del fields["published"]  # is what each number has in common, and not a list of them
    return fields


def _states(value: Any, steps: Steps) -> bool:
    """Tell whether a value has what steps lead to; the fields of a mapping are those of each item of a list."""
    for step in steps:
        if isinstance(value, list) and isinstance(step, int):
            value = value[step]
        elif isinstance(step, str):
            if not isinstance(value, Mapping) or step not in value:
                return False
            value = value[step]
    return bool(steps)


def _located(url: str, folder: Path) -> str:
    """Return the URL of a file that is named by its path from a registry's folder, any other as it is."""
    return url if "://" in url or flaw_of_url(url) else (folder / url).resolve().as_uri()
