"""Two-way key tables: what the tensors of a file are called in our networks, and what else differs, both ways.

A table is `converters/FAMILY/LAYOUT.yaml`: how one family of networks is spelt in files of one layout. Its rules are
read from left to right to import and from right to left to export; `steps.py` does to tensors what is more than a name.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from videohub import registry, resources
from videohub.convert import computed
from videohub.errors import ConversionError, RegistryError
from videohub.registry import strict_yaml
from videohub.registry.messages import file_error, place_of, shown

Field = str | dict[str, str]  # a regular expression, or the file's words and ours


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a table, as it is written."""


class Recognition(_Value, frozen=True, kw_only=True):
    """Patterns of keys: some key fits each of `has`, and none fits one of `has_not`."""

    has: list[str]
    has_not: list[str] = []


class Container(_Value, frozen=True, kw_only=True):
    """How a file of the layout is written; `under` is the key of a torch file that holds the state dict."""

    container: Literal["caffe2", "torch", "safetensors"]
    under: str | None = None


class Largest(_Value, frozen=True, kw_only=True):
    """A number that depends on the network's depth: the largest of `field` in keys whose other fields are `where`."""

    field: str
    where: dict[str, str]


class ShapeFixup(_Value, frozen=True, kw_only=True):
    """Tensors that files may hold without their unit dimensions; ours have `rank`, and `written` are written."""

    keys: list[str]
    but_not: list[str] = []
    rank: int
    at: Literal["start", "time", "end"]  # time: between the channels and the image
    written: int | None = None  # null: all


class Permutation(_Value, frozen=True, kw_only=True, tag_field="step", tag="permute"):
    """An axis whose parts, in these proportions in the file, stand in another order in ours."""

    keys: list[str]
    axis: int
    parts: list[int]
    order: list[int]  # of the file's parts


class Slice(_Value, frozen=True, kw_only=True, tag_field="step", tag="slice"):
    """An axis of which ours is a part. It has no inverse: what else the file had is lost."""

    keys: list[str]
    axis: int
    start: int = 0
    stop: int | None = None
    why: str


class SplitNorms(_Value, frozen=True, kw_only=True, tag_field="step", tag="split_norms"):
    """Batch norms with statistics of parts of a batch become plain ones, which is also how they are written."""

    why: str


Step = Permutation | Slice | SplitNorms


class Computed(_Value, frozen=True, kw_only=True):
    """A tensor of the file that follows from others: one stands beside each key that fits `beside`."""

    beside: str
    by: str
    given: dict[str, Any] = {}
    why: str


class Fill(_Value, frozen=True, kw_only=True):
    """A tensor of ours that files lack, one for each of ours that fits `like`: of its shape, or of some of its axes.

    On export it is left out, if it has this value or is `unused`: no output depends on it.
    """

    why: str
    like: str | None = None
    axes: list[int] | None = None
    value: float = 0
    by: str | None = None  # computed, instead of `value`
    given: dict[str, Any] = {}
    type: Literal["int64", "float32"] = "float32"
    unused: bool = False


class Variant(_Value, frozen=True, kw_only=True):
    """What is added for networks whose arguments are such; `{head.kind: roi_max}`, or a list of values."""

    when: dict[str, Any]
    fields: dict[str, Field] = {}
    rules: list[str] = []
    steps: list[Step] = []


class TableFile(_Value, frozen=True, kw_only=True):
    """A table as it is written in `converters/FAMILY/LAYOUT.yaml`; CONTRIBUTING tells how to write one."""

    recognised_by: Recognition
    written_as: Container
    fields: dict[str, Field]
    largest: dict[str, Largest] = {}
    rules: list[str]
    variants: list[Variant] = []
    copies: dict[str, str] = {}  # key of a tensor that is stored twice -> key of the one that is used
    steps: list[Step] = []
    shape_fixups: list[ShapeFixup] = []
    computed: dict[str, Computed] = {}
    fill: dict[str, Fill] = {}
    ignore: dict[str, str] = {}  # pattern of keys of the file -> why they are left aside


class Rule(NamedTuple):
    """One line of a table: keys of the file, and ours; of one side several where tensors are joined or split."""

    file: tuple[str, ...]
    ours: tuple[str, ...]


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
    rules: tuple[Rule, ...]
    digest: str

    @property
    def name(self) -> str:
        """What messages call it, such as `slowfast/caffe2`."""
        return f"{self.family}/{self.layout}"

    def of(self, arguments: Mapping[str, Any]) -> Table:
        """Return the table for a network with these arguments: with its variants that hold."""
        return self._with([variant for variant in self.file.variants if _holds(variant.when, arguments)])

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
        return next((name for pattern, target in self._copies if (name := pattern.rename(key, target))), None)

    def copies_of(self, key: str) -> list[str]:
        """Return the keys under which a file stores this tensor again."""
        return [name for pattern, target in self._copied if (name := pattern.rename(key, target))]

    def computed_at(self, key: str) -> Computed | None:
        """Return how a tensor of the file is computed, None if it is not."""
        return next((how for pattern, how in self._computed if pattern.values(key) is not None), None)

    def computed_beside(self, key: str) -> dict[str, Computed]:
        """Return the keys of computed tensors that a file has because it has `key`."""
        return {name: how for pattern, target, how in self._beside if (name := pattern.rename(key, target))}

    def fill_of(self, name: str) -> Fill | None:
        """Return what stands for one of our tensors that files lack, None where none may."""
        return next((fill for pattern, fill in self.file.fill.items() if fnmatchcase(name, pattern)), None)

    def to_ours(self, keys: Iterable[str]) -> dict[str, list[str]]:
        """Return, for each key of a file, the names in our networks that the rules give it; one rule is right."""
        return _names(self.matches(keys, to_ours=True))

    def to_published(self, keys: Iterable[str]) -> dict[str, list[str]]:
        """Return, for each of our keys, the names in a file that the rules give it; one rule is right."""
        return _names(self.matches(keys, to_ours=False))

    def matches(self, keys: Iterable[str], *, to_ours: bool) -> dict[str, list[Match]]:
        """Return what the rules say of each key."""
        keys = list(keys)
        fields = self._bound(keys, to_ours)
        lines = [rule if to_ours else Rule(rule.ours, rule.file) for rule in self.rules]
        patterns = [(_Pattern(key, fields, reverse=not to_ours), *line) for line in lines for key in line[0]]
        return {key: [Match(pattern.fill(sources, values), pattern.translate(names, values))
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
                    names = _fields_in(key)
                    if names <= free.keys() and {largest.field, *largest.where} <= names:
                        pattern = _Pattern(key, free, reverse=not to_ours)
                        found = [pattern.ours(values) for at in keys if (values := pattern.values(at)) is not None]
                        fitting = [values for values in found if largest.where.items() <= values.items()]
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
            steps=[*self.file.steps, *(step for variant in variants for step in variant.steps)],
            variants=[],
        )
        rules = tuple(rule for rule in map(_rule, file.rules) if _fields_in(rule.file[0]) <= file.fields.keys())
        return Table(self.family, self.layout, file, rules, self.digest)

    @functools.cached_property
    def _copies(self) -> list[tuple[_Pattern, str]]:
        return [(_Pattern(copy, self.file.fields), original) for copy, original in self.file.copies.items()]

    @functools.cached_property
    def _copied(self) -> list[tuple[_Pattern, str]]:
        return [(_Pattern(original, self.file.fields), copy) for copy, original in self.file.copies.items()]

    @functools.cached_property
    def _computed(self) -> list[tuple[_Pattern, Computed]]:
        return [(_Pattern(key, self.file.fields), how) for key, how in self.file.computed.items()]

    @functools.cached_property
    def _beside(self) -> list[tuple[_Pattern, str, Computed]]:
        return [(_Pattern(how.beside, self.file.fields), key, how) for key, how in self.file.computed.items()]


def find(family: str, layout: str) -> Table:
    """Return the table of a family of networks and a layout of keys: ours, or one beside a registry of a user's.

    Raises: ConversionError if there is none; RegistryError if the file breaks the rules of tables.
    """
    paths = resources.tables(registry.files()).get((family, layout), [])  # no path to elsewhere, whatever a record says
    if len(paths) > 1:
        raise RegistryError(f"{paths[1]}: {paths[0]} is the table of {family}/{layout} already.\n  Rename one.")
    if not paths:
        known = ", ".join(layouts(family)) or "none"
        raise ConversionError(f"no key table {family}/{layout[:100]!r} in converters/, expected one of {known}")
    return _read(paths[0], paths[0].stat().st_mtime_ns)


def layouts(family: str | None = None) -> list[str]:
    """Return the layouts that have a table for a family of networks, or for any."""
    return sorted({layout for of, layout in resources.tables(registry.files()) if family in (None, of)})


def families() -> list[str]:
    """Return the families of networks that have a table."""
    return sorted({family for family, _ in resources.tables(registry.files())})


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
    of_variants = [("variants", number, variant) for number, variant in enumerate(file.variants)]
    fields = dict(file.fields)
    for section, number, variant in of_variants:
        fields |= variant.fields
        for name, values in variant.fields.items():
            if flaw := _flaw(values, file.largest):
                where = (section, number, "fields", name)
                raise file_error(path, where, flaw, line=document.line(where))
    for name, values in file.fields.items():
        if flaw := _flaw(values, file.largest):
            raise file_error(path, ("fields", name), flaw, line=document.line(("fields", name)))
    for line in [*file.rules, *(rule for _, _, variant in of_variants for rule in variant.rules)]:
        if flaw := _rule_flaw(line, fields):
            raise RegistryError(f"{path}: rule {line!r:.300}: {flaw}")
    if flaw := _flaw_beside_rules(file, fields, [step for _, _, variant in of_variants for step in variant.steps]):
        raise RegistryError(f"{path}: {flaw}")
    rules = tuple(rule for rule in map(_rule, file.rules) if _fields_in(rule.file[0]) <= file.fields.keys())
    return Table(path.parent.name, path.stem, file, rules, _digest(file))


def _digest(file: TableFile) -> str:
    """Return a SHA-256 of what a table says, without the order of its keys and without its reasons."""
    content = msgspec.to_builtins(file)
    content["ignore"] = sorted(file.ignore)
    for part in [*content["fill"].values(), *content["computed"].values(), *content["steps"],
                 *(step for variant in content["variants"] for step in variant["steps"])]:  # fmt: skip
        part.pop("why", None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _rule(line: str) -> Rule:
    left, right = (tuple(key.strip() for key in side.split(" + ")) for side in line.split("<->"))
    return Rule(left, right)


def _rule_flaw(line: str, fields: Mapping[str, Field]) -> str | None:
    """Return what is wrong with a rule, None if nothing is."""
    sides = [side.strip() for side in line.split("<->")]
    if len(sides) != 2 or not all(sides):
        return "expected `published key <-> our key`"
    rule = _rule(line)
    if min(len(rule.file), len(rule.ours)) > 1:
        return "several keys on both sides, expected them on one"
    if len({*rule.file, *rule.ours}) < len(rule.file) + len(rule.ours) and rule.file != rule.ours:
        return "one key stands twice"
    return _pair_flaw([*rule.file, *rule.ours], fields)


def _pair_flaw(keys: list[str], fields: Mapping[str, Field]) -> str | None:
    """Return what keeps the fields of these keys from being those of each other."""
    names = [_fields_in(key) for key in keys]
    if any(odd := names[0] ^ other for other in names):
        return f"the fields {sorted(odd)} stand on one side only"
    if unknown := names[0] - fields.keys():
        return f"no field is called {sorted(unknown)}"
    return None


def _flaw(values: Field, largest: Collection[str]) -> str | None:
    """Return why a field's values cannot be looked for in keys, None if they can."""
    if isinstance(values, dict):
        known = "".join(f"|{{{re.escape(name)}}}" for name in largest)
        if odd := [value for value in values if not re.fullmatch(rf"(?:[^{{}}]{known})*", value)]:
            more = ", ".join(f"{{{name}}}" for name in largest)
            return f"has the value {shown(odd[0])}, expected text" + (f", and {more} in it" if more else "")
        return f"is not readable backwards: {values}" if len(set(values.values())) < len(values) else None
    try:
        return "has a group, expected a regular expression without" if re.compile(values).groups else None
    except re.error as error:
        return f"is no regular expression: {error}"


def _flaw_beside_rules(file: TableFile, fields: Mapping[str, Field], more: list[Step]) -> str | None:
    """Return what is wrong with a table besides its fields and rules, None if nothing is."""
    for name, largest in file.largest.items():
        if unknown := {largest.field, *largest.where} - fields.keys():
            return f"largest: {name}: no field is called {sorted(unknown)}"
    pairs = [(f"copies: {copy}", [copy, original]) for copy, original in file.copies.items()]
    pairs += [(f"computed: {key}", [key, how.beside]) for key, how in file.computed.items()]
    for where, keys in pairs:
        if flaw := _pair_flaw(keys, fields):
            return f"{where[:300]}: {flaw}"
    if file.written_as.under is not None and file.written_as.container != "torch":
        return f"written_as: a {file.written_as.container} file has no key to be under"
    for key, by in [*((key, how.by) for key, how in file.computed.items()),
                    *((key, fill.by) for key, fill in file.fill.items() if fill.by)]:  # fmt: skip
        if by not in computed.FUNCTIONS:
            return f"{key[:300]}: nothing computes {by!r:.100}, expected one of {', '.join(computed.FUNCTIONS)}"
    for key, fill in file.fill.items():
        if key.count("*") > 1 or key.count("*") != (fill.like or "").count("*"):
            return f"fill: {key[:300]}: expected one * in it and one in `like`, or none in both"
    for fixup in file.shape_fixups:
        if not 1 <= (fixup.written or 1) <= fixup.rank:
            return f"shape_fixups: {fixup.written} dimensions of {fixup.rank} are written"
    for step in [*file.steps, *more]:
        if isinstance(step, Permutation) and (
            min(step.parts, default=0) < 1 or sorted(step.order) != list(range(len(step.parts)))
        ):
            return f"steps: {len(step.parts)} parts in the order {step.order}, expected each of them once"
    return None


def _fields_in(key: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", key))


def _names(matches: Mapping[str, list[Match]]) -> dict[str, list[str]]:
    return {key: [name for match in found for name in match.names] for key, found in matches.items()}


def _holds(when: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """Say whether all arguments are as wanted; `head.kind` is an argument within another."""
    found = {path: argument(arguments, path) for path in when}
    return all(found[path] in (value if isinstance(value, list) else [value]) for path, value in when.items())


def argument(arguments: Mapping[str, Any], path: str) -> Any:
    """Return an argument of a network by its path, None if there is none."""
    value: Any = arguments
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


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
        self._pattern = re.compile(pattern)

    def values(self, key: str) -> dict[str, str] | None:
        """Return what stands for each field in a key, None if the key is another."""
        match = self._pattern.fullmatch(key)
        return match.groupdict() if match else None

    def rename(self, key: str, target: str) -> str | None:
        """Return `target` with the fields of a key, None if the key is another."""
        values = self.values(key)
        return None if values is None else target.format(**values)

    def ours(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return values in our networks' words."""
        return dict(values) if self._reverse else self._translated(values)

    def fill(self, keys: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
        """Return keys of this side with their fields."""
        return tuple(key.format(**values) for key in keys)

    def translate(self, keys: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
        """Return keys of the other side with their fields."""
        return self.fill(keys, self._translated(values))

    def _translated(self, values: Mapping[str, str]) -> dict[str, str]:
        return {field: self._words.get(field, {}).get(value, value) for field, value in values.items()}
