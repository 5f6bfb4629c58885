"""Two-way key tables: rules that name a tensor in a published file and in our networks, readable in both directions."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import msgspec

from videohub import registry, resources
from videohub.errors import ConversionError, RegistryError
from videohub.escaping import brief
from videohub.registry import strict_yaml
from videohub.registry.messages import file_error, place_of, shown

Field = str | dict[str, str]
Kernels = Literal["trailing", "image", "exact"]


class TableFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table as it is written in `converters/FAMILY/LAYOUT.yaml`."""

    fields: dict[str, Field]
    rules: list[str]
    ignore: dict[str, str]
    absent: dict[str, str]
    kernels: Kernels


@dataclass(frozen=True)
class Rule:
    """One line of a table: the published key on the left, ours on the right, the same fields on both sides."""

    left: str
    right: str


@dataclass(frozen=True)
class Table:
    """A key table of one family of networks and one layout of the keys in their files.

    `ignore` (patterns of published keys) and `absent` (patterns of our keys) give the reason for each pattern.
    """

    family: str
    layout: str
    fields: Mapping[str, Field]
    rules: tuple[Rule, ...]
    ignore: Mapping[str, str]
    absent: Mapping[str, str]
    kernels: Kernels
    digest: str

    @property
    def name(self) -> str:
        """What messages call it, such as `slowfast/caffe2`."""
        return f"{self.family}/{self.layout}"

    def ignored(self, key: str) -> str | None:
        """Return why a published key is left aside, or None if it is not."""
        return next((why for pattern, why in self.ignore.items() if fnmatchcase(key, pattern)), None)

    def is_absent(self, key: str) -> bool:
        """Say whether published files have no counterpart of one of our keys."""
        return any(fnmatchcase(key, pattern) for pattern in self.absent)

    def to_ours(self, keys: Iterable[str]) -> dict[str, list[str]]:
        """Return, for each published key, the names that the rules give it in our networks; one is right."""
        return self._apply(list(keys), forward=True)

    def to_published(self, keys: Iterable[str]) -> dict[str, list[str]]:
        """Return, for each of our keys, the names that the rules give it in a published file; one is right."""
        return self._apply(list(keys), forward=False)

    def _apply(self, keys: list[str], *, forward: bool) -> dict[str, list[str]]:
        fields = _bind(self.fields, _last_blocks(keys))
        steps = [_Step(rule.left, rule.right, fields) if forward else _Step(rule.right, rule.left, fields, reverse=True)
                 for rule in self.rules]  # fmt: skip
        return {key: [name for step in steps if (name := step(key)) is not None] for key in keys}


def find(family: str, layout: str) -> Table:
    """Return the table of a family of networks and a layout of keys, `converters/FAMILY/LAYOUT.yaml`.

    Raises: ConversionError if there is none; RegistryError if the file breaks the rules of tables.
    """
    if layout not in layouts(family):  # which is no path to elsewhere, whatever a registry says
        known = ", ".join(layouts(family)) or "none"
        raise ConversionError(f"no key table {family}/{layout[:100]!r} in converters/, expected one of {known}")
    path = _files()[family, layout]
    return _read(path, path.stat().st_mtime_ns)


def layouts(family: str | None = None) -> list[str]:
    """Return the layouts that have a table for a family of networks, or for any."""
    return sorted({layout for of, layout in _files() if family in (None, of)})


def families() -> list[str]:
    """Return the families of networks that have a table."""
    return sorted({family for family, _ in _files()})


def _files() -> dict[tuple[str, str], Path]:
    """Return where the table of each family and layout lies: our own, and those beside registries of a user's."""
    found: dict[tuple[str, str], Path] = {}
    for folder in resources.tables_folders(registry.files()):
        for path in folder.glob("*/*.yaml"):
            key = path.parent.name, path.stem
            if key in found:
                raise RegistryError(f"{path}: {found[key]} is the table of {'/'.join(key)} already.\n  Rename one.")
            found[key] = path
    return found


@functools.cache
def _read(path: Path, _mtime_ns: int) -> Table:
    return read_table(path)


def read_table(path: Path) -> Table:
    """Return the table of any file; see `find`."""
    document = strict_yaml.read(path)
    try:
        file = msgspec.convert(document.value, TableFile)
    except msgspec.ValidationError as error:
        steps, message, _ = place_of(error)
        what = f"breaks the schema of tables: {message}"
        raise file_error(path, steps, what, line=document.line(steps)) from error
    for field, values in file.fields.items():
        if flaw := _flaw(values):
            raise file_error(path, ("fields", field), flaw, line=document.line(("fields", field)))
    rules = []
    for line in file.rules:
        sides = [side.strip() for side in line.split("<->")]
        if len(sides) != 2 or not all(sides):
            raise RegistryError(f"{path}: rule {line!r}: expected `published key <-> our key`")
        left, right = (set(re.findall(r"{(\w+)}", side)) for side in sides)
        if left != right:
            raise RegistryError(f"{path}: rule {line!r}: the fields {sorted(left ^ right)} stand on one side only")
        if unknown := left - set(file.fields):
            raise RegistryError(f"{path}: rule {line!r}: no field is called {sorted(unknown)}")
        rules.append(Rule(*sides))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Table(
        family=path.parent.name,
        layout=path.stem,
        fields=file.fields,
        rules=tuple(rules),
        ignore=file.ignore,
        absent=file.absent,
        kernels=file.kernels,
        digest=digest,
    )


def _flaw(values: Field) -> str | None:
    """Return why a field's values cannot be looked for in keys, None if they can."""
    if isinstance(values, dict):
        odd = [value for value in values if not re.fullmatch(r"(?:[^{}]|{last[2-5]})*", value)]
        return f"has the value {shown(odd[0])}, expected text, and {{last2}} to {{last5}} in it" if odd else None
    try:
        return "has a group, expected a regular expression without" if re.compile(values).groups else None
    except re.error as error:
        return f"is no regular expression: {error}"


class _Step:
    """A rule in one direction: a pattern for whole keys and the name that follows."""

    def __init__(self, source: str, target: str, fields: Mapping[str, Field], *, reverse: bool = False) -> None:
        self.target = target
        self.translations: dict[str, dict[str, str]] = {}
        pattern, seen = "", set()
        for literal, field in re.findall(r"([^{}]*)(?:{(\w+)})?", source):
            pattern += re.escape(literal)
            if not field:
                continue
            values = fields[field]
            if isinstance(values, dict):
                values = {new: old for old, new in values.items()} if reverse else values
                self.translations[field] = values
                values = "|".join(re.escape(value) for value in values)
            pattern += f"(?P={field})" if field in seen else f"(?P<{field}>{values})"
            seen.add(field)
        self.pattern = re.compile(pattern)

    def __call__(self, key: str) -> str | None:
        match = self.pattern.fullmatch(key)
        if match is None:
            return None
        found = {
            field: self.translations.get(field, {}).get(value, value) for field, value in match.groupdict().items()
        }
        return self.target.format(**found)


def _last_blocks(keys: list[str]) -> dict[str, str]:
    """Return the number of the last block of each stage, as it shows in either side's keys: {"last4": "22", …}."""
    last: dict[str, int] = {}
    for key in keys:
        if match := re.search(r"res([2-5])[._]([0-9]+)[._]", key):
            stage, block = f"last{match[1]}", int(match[2])
            last[stage] = max(block, last.get(stage, 0))
    return {stage: str(last.get(stage, 0)) for stage in ("last2", "last3", "last4", "last5")}


def _bind(fields: Mapping[str, Field], variables: Mapping[str, str]) -> dict[str, Field]:
    """Put the depth of the network at hand into the fields that depend on it."""
    bound: dict[str, Field] = {}
    for name, values in fields.items():
        if isinstance(values, dict):
            values = {old.format(**variables): new for old, new in values.items()}
            if len(set(values.values())) < len(values):
                raise RegistryError(f"field {name!r} is not readable backwards: {values}")
        bound[name] = values
    return bound


MOST = 40  # lines of a list in a message


def shapes(tensors: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return an indented list of keys and their shapes for a message, `MOST` lines of bounded length at the most."""
    keys = list(keys)
    lines = [f"    {brief(key)} {tuple(tensors[key].shape)!s:.200}" for key in keys[:MOST]]
    if len(keys) > MOST:
        lines.append(f"    … and {len(keys) - MOST} more")
    return "\n".join(lines)
