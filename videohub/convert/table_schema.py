"""What may stand in a key table, and what makes no sense there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from videohub.registry.messages import shown

MOST_DIMENSIONS = 5  # of any tensor of a network

Field = str | dict[str, str]  # a regular expression, or the file's words and ours


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a table, as it is written."""


class Recognition(_Value, frozen=True, kw_only=True):
    """Patterns of keys: some key fits each of `has`, and none fits one of `has_not`."""

    has: list[str]
    has_not: list[str] = []


class Container(_Value, frozen=True, kw_only=True):
    """How a file of the layout is written; `under` is the key of a torch file that holds the state dict.

    `described`: with transformers' config.json and preprocessor_config.json beside it, which say whose network it is.
    """

    container: Literal["caffe2", "torch", "safetensors"]
    under: str | None = None
    described: bool = False


class Part(_Value, frozen=True, kw_only=True):
    """Where a torch file has the tensors whose keys begin, in the rules, as the part is called.

    `under` is the key of their state dict, `classifiers.0` of the only one of a list; `prefix` is what such files have
    before each key, perhaps without one of its words.
    """

    under: str
    prefix: str = ""


class Largest(_Value, frozen=True, kw_only=True):
    """A number that depends on the network's depth: the largest of `field` in keys whose other fields are `where`."""

    field: str
    where: dict[str, str]


class ShapeFixup(_Value, frozen=True, kw_only=True):
    """Tensors that files may hold without unit dimensions or with more; ours have `rank`, and `written` are written."""

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
ComputedBy = Literal["relative_position_index", "window_mask", "sinusoid"]  # functions of `steps.py`


class _OnOneSide(_Value, frozen=True, kw_only=True):
    """A tensor that the other side lacks: `value` in the shape of a tensor that both have, or of some of its axes."""

    why: str
    axes: list[int] | None = None
    value: float = 0
    by: ComputedBy | None = None  # computed, instead of `value`
    given: dict[str, Any] = {}
    type: Literal["int64", "float32"] = "float32"
    unused: bool = False  # no output depends on it, so any value will do


class Computed(_OnOneSide, frozen=True, kw_only=True):
    """A tensor of the file that ours lack, one for each key that fits `beside`. It is compared, and written."""

    beside: str


class Fill(_OnOneSide, frozen=True, kw_only=True):
    """A tensor of ours that files lack, one for each of ours that fits `like`. With another value it is not written."""

    like: str | None = None


class Needed(_Value, frozen=True, kw_only=True):
    """A tensor of ours that a file must hold, one for each of ours that fits `beside`, and why nothing replaces it."""

    beside: str
    why: str


class Variant(_Value, frozen=True, kw_only=True):
    """What is added for networks whose arguments are such; `{head.kind: roi_max}`, or a list of values."""

    when: dict[str, Any]
    fields: dict[str, Field] = {}
    rules: list[str] = []
    old_rules: list[str] = []
    steps: list[Step] = []
    shape_fixups: list[ShapeFixup] = []
    computed: dict[str, Computed] = {}
    fill: dict[str, Fill] = {}
    needed: dict[str, Needed] = {}
    network: dict[str, Any] = {}


class Exclusion(_Value, frozen=True, kw_only=True):
    """Networks whose tensors have names in the layout, and which its library has not, or computes otherwise.

    None is written. None is read, either, for such a file can only be of the library's own network; but where `read`
    says that files have less than a whole network, or more.
    """

    when: dict[str, Any]
    why: str
    read: bool = False


class TableFile(_Value, frozen=True, kw_only=True):
    """A table as it is written in `converters/FAMILY/LAYOUT.yaml`; CONTRIBUTING tells how to write one."""

    recognised_by: Recognition
    written_as: Container
    parts: dict[str, Part] = {}  # of a torch file that holds several state dicts, or of files that go together
    fields: dict[str, Field]
    largest: dict[str, Largest] = {}
    rules: list[str]
    old_rules: list[str] = []  # of spellings that are read and no longer written
    variants: list[Variant] = []
    not_written_for: list[Exclusion] = []
    network: dict[str, Any] = {}  # arguments of the library's networks, whatever those are of the one that is written
    copies: dict[str, str] = {}  # key of a tensor that is stored twice -> key of the one that is used
    steps: list[Step] = []
    shape_fixups: list[ShapeFixup] = []
    computed: dict[str, Computed] = {}
    fill: dict[str, Fill] = {}
    needed: dict[str, Needed] = {}  # of what files may lack by mistake: the refusal tells the reason
    ignore: dict[str, str] = {}  # pattern of keys of the file -> why they are left aside


class Rule(NamedTuple):
    """One line of a table: keys of the file, and ours; of one side several where tensors are joined or split."""

    file: tuple[str, ...]
    ours: tuple[str, ...]


def parse_rule(line: str) -> Rule:
    """Return a rule of a table; see `flaws`."""
    left, right = (tuple(key.strip() for key in side.split(" + ")) for side in line.split("<->"))
    return Rule(left, right)


def fields_in(key: str) -> set[str]:
    """Return the fields of a key, such as `{block}`."""
    return set(re.findall(r"{(\w+)}", key))


def flaws(file: TableFile) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what makes no sense in a table: where it stands, from the top of the file, and what is wrong with it."""
    variants = [(("variants", number), variant) for number, variant in enumerate(file.variants)]
    parts: list[tuple[tuple[str | int, ...], TableFile | Variant]] = [((), file), *variants]
    fields = {name: values for _, part in parts for name, values in part.fields.items()}
    for at, part in parts:
        for name, values in part.fields.items():
            if flaw := _field_flaw(values, file.largest):
                yield (*at, "fields", name), flaw
        for kind, lines in (("rules", part.rules), ("old_rules", part.old_rules)):
            for number, line in enumerate(lines):
                if flaw := _rule_flaw(line, fields):
                    yield (*at, kind, number), f"{line!r:.300}: {flaw}"
        for number, fixup in enumerate(part.shape_fixups):
            if fixup.written is not None and not 1 <= fixup.written <= MOST_DIMENSIONS:
                flaw = f"{fixup.written} dimensions are written, expected 1 to {MOST_DIMENSIONS}"
                yield (*at, "shape_fixups", number), flaw
        for number, step in enumerate(part.steps):
            if isinstance(step, Permutation) and (
                min(step.parts, default=0) < 1 or sorted(step.order) != list(range(len(step.parts)))
            ):
                flaw = f"has {len(step.parts)} parts in the order {step.order}, expected each of them once"
                yield (*at, "steps", number), flaw
        for key, how in part.computed.items():
            if flaw := _pair_flaw([key, how.beside], fields):
                yield (*at, "computed", key), flaw
        for name, needed in part.needed.items():
            if flaw := _pair_flaw([name, needed.beside], fields):
                yield (*at, "needed", name), flaw
        for key, fill in part.fill.items():
            if key.count("*") > 1 or key.count("*") != (fill.like or "").count("*"):
                yield (*at, "fill", key), "expected one * in it and one in `like`, or none in both"
    for name, largest in file.largest.items():
        if unknown := {largest.field, *largest.where} - fields.keys():
            yield ("largest", name), f"no field is called {sorted(unknown)}"
    for copy, original in file.copies.items():
        if flaw := _pair_flaw([copy, original], fields):
            yield ("copies", copy), flaw
    if file.parts and (file.written_as.container, file.written_as.under) != ("torch", None):
        yield ("parts",), "are of torch files, and say themselves what they are under"
    places = Counter(part.under.partition(".")[0] for part in file.parts.values())
    if shared := [place for place, count in places.items() if count > 1]:
        yield ("parts",), f"has several parts under {shared[0]}, expected one: a file cannot hold both"
    if file.written_as.under is not None and file.written_as.container != "torch":
        yield ("written_as",), f"a {file.written_as.container} file has no key to be under"


def _rule_flaw(line: str, fields: Mapping[str, Field]) -> str | None:
    """Return what is wrong with a rule, None if nothing is."""
    sides = [side.strip() for side in line.split("<->")]
    if len(sides) != 2 or not all(sides):
        return "expected `published key <-> our key`"
    rule = parse_rule(line)
    if min(len(rule.file), len(rule.ours)) > 1:
        return "several keys on both sides, expected them on one"
    if len({*rule.file, *rule.ours}) < len(rule.file) + len(rule.ours) and rule.file != rule.ours:
        return "one key stands twice"
    return _pair_flaw([*rule.file, *rule.ours], fields)


def _pair_flaw(keys: list[str], fields: Mapping[str, Field]) -> str | None:
    """Return what keeps the fields of these keys from being those of each other."""
    names = [fields_in(key) for key in keys]
    if any(odd := names[0] ^ other for other in names):
        return f"the fields {sorted(odd)} stand on one side only"
    if unknown := names[0] - fields.keys():
        return f"no field is called {sorted(unknown)}"
    return None


def _field_flaw(values: Field, largest: Collection[str]) -> str | None:
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
