"""Two-way key tables: what the tensors of a file are called in our networks, and what else differs, both ways.

A table is `converters/FAMILY/LAYOUT.yaml`: how one family of networks is spelt in files of one layout. Its rules are
read from left to right to import and from right to left to export; `steps.py` does to tensors what is more than a name.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from videohub import registry, resources
from videohub.convert.table_schema import (
    Computed,
    Field,
    Fill,
    Part,
    Rule,
    TableFile,
    Variant,
    fields_in,
    flaws,
    parse_rule,
)
from videohub.errors import ConversionError, RegistryError
from videohub.registry import strict_yaml
from videohub.registry.messages import BrokenRegistryError, Message, message, schema_flaws
from videohub.registry.schema import Record


class Match(NamedTuple):
    """What a rule says of a key: all keys that make a tensor, or tensors, of those names."""

    sources: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The table of a family of networks and a layout of keys; `digest` is of what it says, however it is written."""

    family: str
    layout: str
    file: TableFile
    digest: str

    @functools.cached_property
    def rules(self) -> list[Rule]:
        """The rules whose fields are all known; those of a field that variants alone have wait for one of them."""
        rules = map(parse_rule, self.file.rules)
        return [rule for rule in rules if fields_in(rule.file[0]) <= self.file.fields.keys()]

    @property
    def name(self) -> str:
        """What messages call it, such as `slowfast/caffe2`."""
        return f"{self.family}/{self.layout}"

    def of(self, arguments: Mapping[str, Any]) -> Table:
        """Return the table for a network with these arguments: with its variants that hold."""
        return self._with([variant for variant in self.file.variants if _holds(variant.when, arguments)])

    def reason_against_writing(self, arguments: Mapping[str, Any]) -> str | None:
        """Return why a network with these arguments is none of those that the layout's library has; None if it is."""
        return next((one.why for one in self.file.not_written_for if _holds(one.when, arguments)), None)

    def reason_against_reading(self, arguments: Mapping[str, Any]) -> str | None:
        """Return why a file of the layout would be of a network that computes something else; None if it would not."""
        reasons = (one.why for one in self.file.not_written_for if not one.read and _holds(one.when, arguments))
        return next(reasons, None)

    def forms(self) -> list[Table]:
        """Return what the table may be, where the network is not known."""
        return [self._with([variant]) for variant in self.file.variants] or [self]

    def fits(self, keys: Collection[str]) -> bool:
        """Say whether the keys that tell the layout are there, and no other layout's."""
        by = self.file.recognised_by
        return all(any(fnmatchcase(key, one) for key in keys) for one in by.has) and not any(
            fnmatchcase(key, one) for key in keys for one in by.has_not
        )

    def ignored(self, key: str) -> str | None:
        """Return why a key of the file is left aside, or None if it is not."""
        return next((why for pattern, why in self.file.ignore.items() if fnmatchcase(key, pattern)), None)

    def original_of(self, key: str) -> str | None:
        """Return the key whose tensor is stored a second time under `key`, None if it is no copy."""
        return next(self._renamed(key, self.file.copies.items()), None)

    def copies_of(self, key: str) -> Iterator[str]:
        """Yield the keys under which a file stores this tensor again."""
        return self._renamed(key, ((original, copy) for copy, original in self.file.copies.items()))

    def computed_at(self, key: str) -> tuple[Computed, str] | None:
        """Return how a tensor of the file is computed, and the key that it stands beside; None if it is not."""
        return next(((how, name) for at, how in self.file.computed.items()
                     for name in self._renamed(key, [(at, how.beside)])), None)  # fmt: skip

    def computed_beside(self, key: str) -> Iterator[tuple[Computed, str]]:
        """Yield how tensors are computed that a file has because it has `key`, and their keys."""
        return ((how, name) for at, how in self.file.computed.items()
                for name in self._renamed(key, [(how.beside, at)]))  # fmt: skip

    def needed_beside(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield our tensors that a file must hold because it holds `name`, and why."""
        return ((other, needed.why) for at, needed in self.file.needed.items()
                for other in self._renamed(name, [(needed.beside, at)]))  # fmt: skip

    def in_parts(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tensors of a file as it holds them: the state dict of each part, by the key that it lies under."""
        whole: dict[str, Any] = {}
        for begins, part in self.file.parts.items():
            under, _, number = part.under.partition(".")
            if state := {
                part.prefix + key.removeprefix(begins): tensors[key] for key in tensors if key.startswith(begins)
            }:
                whole[under] = [state] if number else state
        return whole

    def fill_of(self, name: str) -> Fill | None:
        """Return what stands for one of our tensors that files lack, None where none may."""
        return next((fill for pattern, fill in self.file.fill.items() if fnmatchcase(name, pattern)), None)

    def matches(self, keys: Iterable[str], *, to_ours: bool) -> dict[str, list[Match]]:
        """Return what the rules say of each key."""
        keys = list(keys)
        fields = self._bound(keys, to_ours)
        old = map(parse_rule, self.file.old_rules)
        lines = [*self.rules, *old] if to_ours else [Rule(rule.ours, rule.file) for rule in self.rules]
        patterns = [(_Pattern(key, fields, reverse=not to_ours), *line) for line in lines for key in line[0]]
        return {key: [Match(_with_fields(sources, values), _with_fields(names, pattern.translated(values)))
                      for pattern, sources, names in patterns if (values := pattern.values(key)) is not None]
                for key in keys}  # fmt: skip

    def _bound(self, keys: list[str], to_ours: bool) -> dict[str, Field]:
        """Return the fields, with the numbers that depend on the depth of the network at hand."""
        free = {name: field for name, field in self.file.fields.items()
                if isinstance(field, str) or not any("{" in word for word in field)}  # fmt: skip
        numbers = dict.fromkeys(self.file.largest, 0)
        for name, largest in self.file.largest.items():
            for rule in self.rules:
                for key in rule.file if to_ours else rule.ours:
                    names = fields_in(key)
                    if names <= free.keys() and {largest.field, *largest.where} <= names:
                        pattern = _Pattern(key, free, reverse=not to_ours)
                        matching = [pattern.ours(values) for at in keys if (values := pattern.values(at)) is not None]
                        fitting = [values for values in matching if largest.where.items() <= values.items()]
                        numbers[name] = max([numbers[name], *(int(values[largest.field]) for values in fitting)])
        bound: dict[str, Field] = dict(free)
        for name, field in self.file.fields.items():
            if name not in free and isinstance(field, dict):
                bound[name] = {word.format(**numbers): ours for word, ours in field.items()}
        return bound

    def _with(self, variants: list[Variant]) -> Table:
        if not self.file.variants:
            return self
        file = msgspec.structs.replace(
            self.file,
            fields=self.file.fields | {name: field for variant in variants for name, field in variant.fields.items()},
            rules=[*self.file.rules, *(rule for variant in variants for rule in variant.rules)],
            old_rules=[*self.file.old_rules, *(rule for variant in variants for rule in variant.old_rules)],
            steps=[*self.file.steps, *(step for variant in variants for step in variant.steps)],
            shape_fixups=[*(fixup for variant in variants for fixup in variant.shape_fixups), *self.file.shape_fixups],
            computed=self.file.computed | {key: how for variant in variants for key, how in variant.computed.items()},
            fill=self.file.fill | {key: fill for variant in variants for key, fill in variant.fill.items()},
            needed=self.file.needed | {key: one for variant in variants for key, one in variant.needed.items()},
            network=self.file.network | {key: value for variant in variants for key, value in variant.network.items()},
            variants=[],
        )
        return replace(self, file=file)

    def _renamed(self, key: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Yield the second keys of pairs whose first one `key` fits, with its fields."""
        for first, second in pairs:
            pattern = self._patterns.get(first) or self._patterns.setdefault(first, _Pattern(first, self.file.fields))
            if (values := pattern.values(key)) is not None:
                yield second.format(**values)

    @functools.cached_property
    def _patterns(self) -> dict[str, _Pattern]:
        """The keys of tensors that are stored twice or follow from others, once they were asked for."""
        return {}


def arguments_of(record: Record) -> dict[str, Any]:
    """Return the arguments of a record's network, as tables name them, and the length of its clips."""
    return {**msgspec.to_builtins(record.model), "arch": record.model.arch, "frames": record.clip.frames}


def find(family: str, layout: str) -> Table:
    """Return the table of a family of networks and a layout of keys: ours, or one beside a registry of a user's.

    Raises: ConversionError if there is none; RegistryError if the file breaks the rules of tables.
    """
    known = resources.tables(registry.files(), family)
    if (paths := known.get((family, layout))) is None:  # no path to elsewhere, whatever a record says
        named = ", ".join(sorted(named for _, named in known)) or "none"
        raise ConversionError(f"no key table {family}/{layout[:100]!r} in converters/, expected one of {named}")
    return _only(paths)


def of_family(family: str) -> dict[str, Table]:
    """Return the tables of a family of networks by their layouts. Raises: RegistryError."""
    return {layout: _only(paths) for (_, layout), paths in sorted(resources.tables(registry.files(), family).items())}


def layouts(family: str | None = None) -> list[str]:
    """Return the layouts that have a table for a family of networks, or for any."""
    return sorted({layout for _, layout in resources.tables(registry.files(), family or "*")})


def writable(family: str, arguments: Mapping[str, Any]) -> list[str]:
    """Return the layouts whose libraries have a network with these arguments, as far as their tables say."""
    known = of_family(family).items()
    return [layout for layout, table in known if table.reason_against_writing(arguments) is None]


def parts() -> list[dict[str, Part]]:
    """Return the parts that files may have, by what begins their keys in the rules: for each table that knows some."""
    known = (table for family in families() for table in of_family(family).values())
    return [table.file.parts for table in known if table.file.parts]


def families() -> list[str]:
    """Return the families of networks that have a table."""
    return sorted({family for family, _ in resources.tables(registry.files())})


def _only(paths: Sequence[Path]) -> Table:
    """Return the one table of a family and a layout."""
    first, *others = paths
    if others:
        named = f"{first.parent.name}/{first.stem}"
        raise RegistryError(f"{others[0]}: {first} is the table of {named} already.\n  Rename one.")
    return _read(first, first.stat().st_mtime_ns)


@functools.cache
def _read(path: Path, _mtime_ns: int) -> Table:
    return read_table(path)


def read_table(path: Path) -> Table:
    """Return the table of any file; see `find`."""
    document = strict_yaml.read(path)
    try:
        file = msgspec.convert(document.value, TableFile)
    except msgspec.ValidationError as error:
        errors = [
            message(path, where, what, line=document.line(where), advice=advice)
            for where, what, advice in schema_flaws(document.value, TableFile)
        ]
        raise BrokenRegistryError(errors, len(errors)) from error
    if errors := [message(path, where, flaw, line=document.line(where)) for where, flaw in flaws(file)]:
        raise BrokenRegistryError(errors, len(errors))
    return Table(path.parent.name, path.stem, file, _digest(file))


def errors_beside(file: Path, known: Collection[str]) -> Iterator[Message]:
    """Yield what is wrong with the tables in the folder `converters` beside a registry file; of `known` families."""
    beside = (file.parent / "converters").resolve()
    for (family, layout), paths in sorted(resources.tables([file]).items()):
        for path in paths:
            if path.parent.parent != beside:
                continue
            if family not in known:
                what, advice = f"lies in a folder called {family}, which is no family of networks", ", ".join(known)
                yield message(path, (), what, advice=f"Known: {advice}.")
            elif len(paths) > 1:
                other = next(other for other in paths if other != path)
                yield message(path, (), f"repeats {other}, the table of {family}/{layout}", advice="Rename one.")
            try:
                read_table(path)
            except BrokenRegistryError as error:
                yield from error.messages
            except RegistryError as error:
                yield message(path, (), f"cannot be used: {str(error).removeprefix(f'{path}: ')}")


def _digest(file: TableFile) -> str:
    """Return a SHA-256 of what a table says, without the order of its keys and without its reasons."""
    content = msgspec.to_builtins(file)
    content["ignore"] = sorted(file.ignore)
    if not file.parts:
        del content["parts"]
    del content["not_written_for"]  # nothing that is read depends on it, nor on `network`
    del content["written_as"]["described"]
    for variant in content["variants"]:
        if not variant["old_rules"]:
            del variant["old_rules"]
    for part in (content, *content["variants"]):
        del part["needed"]
        part.pop("network", None)
        for value in (*part["fill"].values(), *part["computed"].values(), *part["steps"]):
            value.pop("why", None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _with_fields(keys: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(key.format(**values) for key in keys)


def _holds(when: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """Say whether all arguments are as wanted; `head.kind` is an argument within another."""
    values = {path: argument(arguments, path) for path in when}
    return all(values[path] in (value if isinstance(value, list) else [value]) for path, value in when.items())


def argument(arguments: Mapping[str, Any], path: str) -> Any:
    """Return an argument of a network by its path, None if there is none."""
    value: Any = arguments
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


_compiled = functools.lru_cache(maxsize=10_000)(re.compile)  # re itself keeps 512, and all tables have thousands


class _Pattern:
    """A key with fields, which whole keys fit; a field's words are translated into the other side's."""

    def __init__(self, key: str, fields: Mapping[str, Field], *, reverse: bool = False) -> None:
        self._reverse = reverse
        self._words: dict[str, dict[str, str]] = {}
        pattern, seen = "", set()
        for literal, field in re.findall(r"([^{}]*)(?:{(\w+)})?", key):
            pattern += re.escape(literal)
            if not field:
                continue
            values = fields[field]
            if isinstance(values, dict):
                values = {new: old for old, new in values.items()} if reverse else values
                self._words[field] = values
                values = "|".join(re.escape(value) for value in values)
            pattern += f"(?P={field})" if field in seen else f"(?P<{field}>{values})"
            seen.add(field)
        self._pattern = _compiled(pattern)

    def values(self, key: str) -> dict[str, str] | None:
        """Return what stands for each field in a key, None if the key is another."""
        match = self._pattern.fullmatch(key)
        return match.groupdict() if match else None

    def ours(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return values in our networks' words."""
        return dict(values) if self._reverse else self.translated(values)

    def translated(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return values in the other side's words."""
        return {field: self._words.get(field, {}).get(value, value) for field, value in values.items()}
