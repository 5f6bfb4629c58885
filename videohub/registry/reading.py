"""Registry files become records: strictly typed, checked against each other, and merged; all errors are told at once.

A file has the sections `schema_version`, `records`, and where it needs them
  publisher, shared     who made its checkpoints public, and the fields that its records have unless they say otherwise;
                        a mapping in both is merged, one level deep, and into each item of a list
  protocols             by name; records here and in files that are read later refer to them
  datasets              data sets of one's own: as in `datasets.yaml`, or the name of such a file beside this one
  include               patterns of further files beside it, which are read after it
  publisher_order       of two publishers with one upstream name, the first one's is meant
Key tables of one's own lie in a folder `converters` beside the file, laid out as ours.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from videohub import architectures, metrics, resources
from videohub.errors import UsageError
from videohub.protocols import Flaw, Protocol
from videohub.registry import labels, references, strict_yaml
from videohub.registry.contradictions import contradictions, flaw_of
from videohub.registry.datasets import DatasetInfo
from videohub.registry.lookup import Registry
from videohub.registry.messages import BrokenRegistryError, Messages, Steps, schema_errors, shown
from videohub.registry.schema import Labels, Publisher, Record, with_one_checkpoint, with_urls
from videohub.registry.strict_yaml import Document

SCHEMA_VERSION = 1
REQUIRED = ("schema_version", "records")
SECTIONS: dict[str, Any] = {
    "schema_version": int,
    "include": (str, list),
    "publisher_order": list,
    "publisher": dict,
    "shared": dict,
    "protocols": dict,
    "datasets": (str, dict),
    "records": dict,
}
_OF_ONE = ("name", "upstream_name", "aliases", "protocol", "publisher")  # no two records share these; or said elsewhere
_DERIVED = {"other_checkpoints": "List them in checkpoint.", "dataset": "The protocol names it."}


def read(files: Iterable[Path]) -> Registry:
    """Return all that `files` hold, in their order.

    A later file may refer to what an earlier one holds, but not repeat its names.

    Raises: RegistryError naming each file, record and field that is wrong.
    """
    reader = _Reader()
    reader.read_datasets(resources.datasets_file())
    for file in files:
        reader.read(file)
    return reader.registry()


def datasets_of(file: Path) -> dict[str, DatasetInfo]:
    """Return the data sets of a file that holds nothing else. Raises: RegistryError."""
    reader = _Reader()
    reader.read_datasets(file)
    reader.messages.check()
    return reader.datasets


class _Reader:
    """What was read so far, and what was wrong with it."""

    def __init__(self) -> None:
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
        self.names: dict[str, tuple[str, Document]] = {}  # case-folded id or alias -> the id, and where it stands

    def registry(self) -> Registry:
        """Return what was read, after looking at what refers to other records."""
        owners = {name: owner for name, (owner, _) in self.names.items()}
        for document, steps, whole in self.unresolved:
            self._add_flaws(document, steps, references.to_records(whole, str(steps[-1]), owners))
        self.messages.check()
        order = [name for name in self.publisher_order if name in self.publishers]
        order += [name for name in self.publishers if name not in order]
        return Registry(
            records=self.records,
            publishers={name: self.publishers[name] for name in order},
            protocols={name: protocol for name, protocol in self.protocols.items() if protocol is not None},
            datasets=self.datasets,
            files=tuple(self.files),
        )

    def read(self, file: Path, *, included: bool = False) -> None:
        """Read a file, and those that it includes; one that was read already is left aside."""
        if file.resolve() in self.already_read:
            return
        self.already_read.add(file.resolve())
        self.files.append(file)
        try:
            document = strict_yaml.read(file, self.messages)
        except BrokenRegistryError as error:
            self.messages.extend(file, error.messages)
            return
        if not self._check_sections(document):
            return
        sections: dict[str, Any] = document.value
        publisher = self._publisher(document, sections.get("publisher"))
        shared = self._shared(document, sections.get("shared", {}))
        for index, name in enumerate(sections.get("publisher_order", ())):
            if isinstance(name, str):
                self.publisher_order.append(name)
            else:
                self._error(document, ("publisher_order", index), f"is {shown(name)}, expected text")
        self._add_datasets(document, sections.get("datasets", {}))
        for name, raw in sections.get("protocols", {}).items():
            self._add_protocol(document, name, raw)
        layouts = self._layouts()
        for name, raw in sections["records"].items():
            self._add_record(document, name, raw, shared, publisher, layouts)
        if "include" in sections and included:
            self._error(document, ("include",), "is given in a file that is itself included", "Name it there.")
        elif "include" in sections:
            self._include(document, sections["include"])

    def _check_sections(self, document: Document) -> bool:
        """Tell whether a file has the sections of a registry, in their types."""
        value, file = document.value, document.file
        if not isinstance(value, dict) or not set(REQUIRED) <= set(value) <= set(SECTIONS):
            there = ", ".join(map(str, value)) if isinstance(value, dict) else "no mapping"
            others = ", ".join(name for name in SECTIONS if name not in REQUIRED)
            what = f"has {there or 'nothing'}, expected the sections {', '.join(REQUIRED)}"
            self.messages.add(file, (), what, advice=f"There may be {others}, too.")
            return False
        version = value["schema_version"]
        if version is True or version != SCHEMA_VERSION:
            what = f"is {shown(version)}, and this videohub reads {SCHEMA_VERSION}"
            self._error(document, ("schema_version",), what, "If the file is newer, update videohub.")
            return False
        good = True
        for name, kinds in SECTIONS.items():
            if name in value and not isinstance(value[name], kinds):
                good = False
                what = "is not a mapping of names" if kinds is dict else f"is {shown(value[name])}"
                self._error(document, (name,), what, "Write {} where there are none." if kinds is dict else "")
        return good

    def _include(self, document: Document, patterns: str | list[str]) -> None:
        folder = document.file.resolve().parent
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            if not _is_relative(pattern):
                self._error(document, ("include",), f"names {shown(pattern)}, expected a file or a pattern beside it")
                continue
            self.files.append((folder / pattern).parent)  # where another file may come
            try:
                files = sorted(file for file in folder.glob(pattern) if not file.is_dir())
            except (ValueError, IndexError):  # "**x" and "." are none, up to Python 3.12
                self._error(document, ("include",), f"names {shown(pattern)}, which is no pattern of files")
                continue
            if not files and "*" not in pattern:
                self._error(document, ("include",), f"names {shown(pattern)}, and there is no such file beside it")
            for file in files:
                self.read(file, included=True)

    # --- what stands once at the head ---

    def _publisher(self, document: Document, raw: Any) -> Publisher | None:
        if raw is None:
            return None
        publisher: Publisher | None = self._converted(document, ("publisher",), raw, raw, Publisher)
        if publisher is None:
            return None
        if self.publishers.setdefault(publisher.name, publisher) != publisher:
            what = f"{publisher.name} is described otherwise in {self.homes['publisher', publisher.name]}"
            self._error(document, ("publisher",), what, "Say the same in both files, or take another name.")
        self.homes.setdefault(("publisher", publisher.name), document.file)
        return publisher

    def _shared(self, document: Document, raw: dict[str, Any]) -> dict[str, Any]:
        fields = set(Record.__struct_fields__) - {*_OF_ONE, *_DERIVED} | {"protocol"}
        for name in set(raw) - fields:
            what = "is not a field that records can share"
            self._error(document, ("shared", name), what, f"Known here: {', '.join(sorted(fields))}.")
        return {name: value for name, value in raw.items() if name in fields}

    def _add_protocol(self, document: Document, name: str, raw: Any) -> None:
        steps = ("protocols", name)
        if home := self.homes.get(steps):
            self._error(document, steps, f"is also in {home}", "Give one another name.")
            return
        self.homes[steps], self.protocols[name] = document.file, None
        protocol = self._converted(document, steps, raw, raw, Protocol)
        unknown = [*references.of_protocol(raw, self.datasets)] if isinstance(raw, dict) else []
        self._add_flaws(document, steps, unknown)
        if protocol is None or unknown:
            return
        self.protocols[name] = protocol
        if metrics.of(protocol.metric).by_box != (protocol.detection is not None):
            what = f"is {'null' if protocol.detection is None else 'given'}, and the metric is {protocol.metric}"
            self._error(document, (*steps, "detection"), what, "AVA's metric needs it, no other one has it.")
        self._add_flaws(document, steps, protocol.flaws())

    def read_datasets(self, file: Path) -> None:
        """Read a file of data sets: a mapping of their names."""
        self.files.append(file)
        document = strict_yaml.read(file)
        if not isinstance(document.value, dict):
            self._error(document, (), "holds no mapping of names")
            return
        for name, raw in document.value.items():
            self._add_dataset(document, (name,), raw)

    def _add_datasets(self, document: Document, given: str | dict[str, Any]) -> None:
        """Take data sets of one's own: from this file, or from one beside it."""
        if isinstance(given, dict):
            for name, raw in given.items():
                self._add_dataset(document, ("datasets", name), raw)
            return
        file = document.file.resolve().parent / given
        if _is_relative(given) and file.is_file():
            self.read_datasets(file)
        else:
            self._error(document, ("datasets",), f"is {shown(given)}, and there is no such file beside it")

    def _add_dataset(self, document: Document, steps: Steps, raw: Any) -> None:
        name = str(steps[-1])
        dataset = self._converted(document, steps, raw, raw, DatasetInfo)
        if dataset is None:
            return
        if self.datasets.setdefault(name, dataset) != dataset:  # one that says the same is the same
            home = self.homes["datasets", name]
            self._error(document, steps, f"is described otherwise in {home}", "Give one another name.")
        self.homes.setdefault(("datasets", name), document.file)

    # --- records ---

    def _add_record(
        self,
        document: Document,
        name: str,
        raw: Any,
        shared: dict[str, Any],
        publisher: Publisher | None,
        layouts: dict[str, list[str]],
    ) -> None:
        steps = ("records", name)
        self._claim(document, steps, name, name)
        if not isinstance(raw, dict):
            self._error(document, steps, "is not a mapping of fields")
            return
        whole = _merged(shared, raw)
        if publisher is not None:
            whole.setdefault("publisher", publisher.name)
        self.unresolved.append((document, steps, whole))
        protocol = whole.get("protocol")
        inner = self.protocols.get(protocol) if isinstance(protocol, str) else None
        dataset = self.datasets.get(inner.dataset) if inner else None
        record = self._converted(document, steps, raw, whole, Record, {"protocol": inner, "dataset": dataset})
        self._add_flaws(document, steps, references.of_record(whole, self.protocols, layouts))
        aliases = whole.get("aliases")
        for index, alias in enumerate(aliases if isinstance(aliases, list) else ()):
            if isinstance(alias, str) and alias:
                self._claim(document, (*steps, "aliases", index), alias, name)
        names = self._labels(document, steps, whole.get("labels"))
        if record is None:
            return
        record = with_one_checkpoint(msgspec.structs.replace(record, labels=names))
        if names is not None and labels.count(names) != record.model.num_classes:
            what = f"is {labels.told(names)}, and the network has {record.model.num_classes or 'no'} outputs"
            self._error(document, (*steps, "labels"), what, "Name each output, or write null for none of them.")
        self._add_flaws(document, steps, contradictions(record))
        folder = document.file.resolve().parent
        self.records.setdefault(name, with_urls(record, lambda url: _located(url, folder)))

    def _claim(self, document: Document, steps: Steps, name: str, owner: str) -> None:
        """Take a name for a record, as its id or an alias."""
        what = f"is {shown(name)}, which " if "aliases" in steps[2:] else ""
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            advice = "Take letters, digits and underscores, starting with a letter, and no keyword."
            self._error(document, steps, f"{what}is not a name that Python and torch.hub can use", advice)
        elif name.casefold() in self.names:
            other, where = self.names[name.casefold()]
            home = where.file if where.file != document.file else "this file"
            advice = "Names must differ in more than case; choose another."
            self._error(document, steps, f"{what}repeats the name {other} of {home}", advice)
        else:
            self.names[name.casefold()] = (owner, document)

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

    def _layouts(self) -> dict[str, list[str]]:
        """Return the layouts that there is a table for, of each family of networks."""
        tables = resources.tables(self.files)
        return {family: [layout for of, layout in tables if of == family] for family in architectures.families()}

    # --- one value ---

    def _converted(
        self, document: Document, steps: Steps, raw: Any, whole: Any, kind: Any, inner: dict[str, Any] | None = None
    ) -> Any:
        """Return a section, or a named value of one, as `kind`; None if it is broken.

        Args:
            raw: The value as the file has it.
            whole: The same with what records share.
            inner: Fields that take the place of those in the file; None for a broken one.
        """
        is_named = kind is not Publisher  # whose file says its name
        inner = {**(inner or {}), **({"name": steps[-1]} if is_named else {})}
        if not isinstance(raw, dict):
            self._error(document, steps, "is not a mapping of fields")
            return None
        if "name" in raw and "name" in inner:
            self._error(document, (*steps, "name"), "is not a field of the schema", "The key is the name.")
        for name in (name for name in _DERIVED if name in raw and kind is Record):
            self._error(document, (*steps, name), "is not a field of the schema", _DERIVED[name])
        try:
            return msgspec.convert({**whole, **inner}, kind)
        except msgspec.ValidationError as error:
            left = tuple(name for name in inner if name in whole or name in ("name", "dataset"))
            section = str(steps[0]) if steps[0] in SECTIONS else "datasets"  # whose own file has names at its top
            broken = list(schema_errors(whole, kind, section, leave=left))
            for inside, what, advice in broken:
                of_shared = len(steps) > 1 and inside and inside[0] not in raw and inside[0] in whole
                self._error(document, ("shared", *inside) if of_shared else (*steps, *inside), what, advice)
            if not broken and None not in inner.values():
                self._error(document, steps, f"breaks the schema: {error}")
            return None

    def _add_flaws(self, document: Document, steps: Steps, flaws: Iterable[Flaw]) -> None:
        for field, what, advice in flaws:
            self._error(document, (*steps, *field), what, advice)

    def _error(self, document: Document, steps: Steps, what: str, advice: str = "") -> None:
        self.messages.add(document.file, steps, what, line=document.line(steps), advice=advice)


def _merged(shared: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """Return a record's fields with those that it shares; of two mappings, the fields of both."""
    whole = {**shared, **raw}
    for name in shared.keys() & raw.keys():
        if isinstance(shared[name], dict) and isinstance(raw[name], dict):
            whole[name] = {**shared[name], **raw[name]}
        elif isinstance(shared[name], dict) and isinstance(raw[name], list):
            whole[name] = [{**shared[name], **item} if isinstance(item, dict) else item for item in raw[name]]
    if "published" not in raw and isinstance(shared.get("published"), dict):
        del whole["published"]  # is what each number has in common, and not a list of them
    return whole


def _located(url: str, folder: Path) -> str:
    """Return the URL of a file that is named by its path from a registry's folder, any other as it is."""
    return url if "://" in url or flaw_of(url) else (folder / url).resolve().as_uri()


def _is_relative(pattern: str) -> bool:
    return isinstance(pattern, str) and bool(pattern) and not Path(pattern).is_absolute()
