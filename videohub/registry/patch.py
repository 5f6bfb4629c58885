"""Patches of registry files: what was learnt of records, and further forms of a checkpoint; nothing else changes.

No library keeps comments, quotes, aliases and line ends of YAML: nodes are found by PyYAML, and texts replaced there.
"""

from __future__ import annotations

import dataclasses
import difflib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from videohub import resources
from videohub.errors import RegistryError
from videohub.registry import strict_yaml, writer
from videohub.registry.known_answers import KnownAnswer
from videohub.registry.schema import Checkpoint, Record

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True)
class Measured:
    """What was seen of the file at a URL: its sha256 and size, which fill nulls, and its container."""

    url: str
    fields: Mapping[str, str | int]


@dataclass(frozen=True)
class Learnt:
    """What is to be written into a record: of its files, a note if its link is dead, and what is known of its outputs.

    `clips` are the digests of the files that known answers are of, by their addresses.
    """

    files: Sequence[Measured] = ()
    dead: str | None = None
    answer: KnownAnswer | None = None
    clips: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Patch:
    """Changes to registry files, as `git apply` and `patch -p1` take them, and what has to be written by hand."""

    text: str
    files: list[str]
    records: list[str]
    left: dict[str, str]  # record -> why


def registry_patch(learnt: Mapping[str, Learnt], files: list[Path]) -> Patch:
    """Return what writes into registry files what was learnt of their records.

    Raises: RegistryError if a file cannot be read.
    """
    texts: dict[str, str] = {}
    records: list[str] = []
    left: dict[str, str] = {}
    for file in files:
        names = strict_yaml.read(file).value["records"]
        here = {name: known for name, known in learnt.items() if name in names}
        if not here:
            continue
        with file.open(encoding="utf-8", newline="") as opened:  # line ends stay what they are
            before = opened.read()
        after, by_hand = fill(before, here)
        left |= by_hand
        records += [name for name in here if name not in by_hand]
        if after != before:
            texts[str(file)] = difference(file, before, after)
    return Patch("".join(texts.values()), list(texts), records, left)


def fill(text: str, learnt: Mapping[str, Learnt]) -> tuple[str, dict[str, str]]:
    """Return a registry file's text with what was learnt, and which records have to be changed by hand, and why.

    A null is replaced where it stands, in block and in flow style, and so is a container, or it is put before the
    checkpoint's other fields where the record leaves it to its file. A dead link makes the status broken, with a note.
    No other character changes.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)  # unlike the C loader it counts every character
    uses = Counter(_references(root))
    changes: list[_Change] = []
    left: dict[str, list[str]] = {}
    for name, known in learnt.items():
        for file in known.files:
            paths = {field: _follow(root, ["records", name, "checkpoint", field], file.url) for field in file.fields}
            if why := next(filter(None, (_obstacle(path, field, uses) for field, path in paths.items())), None):
                by_hand = ", ".join(f"{field}: {_written(value)}" for field, value in file.fields.items())
                left.setdefault(name, []).append(f"{why}. Write by hand: {by_hand}")
                continue
            for field, path in paths.items():
                if path[-1] is None or path[-1].tag == _NULL or field == "container":
                    changes.append(_change(text, path, field, _written(file.fields[field])))
        if known.dead is not None:
            status, notes = (_follow(root, ["records", name, field], "") for field in ("status", "notes"))
            if any(uses[id(node)] > 1 for node in (*status, *notes)):
                left.setdefault(name, []).append(f"it is shared, by an alias. Write by hand: broken, and {known.dead}")
                continue
            changes += [_change(text, status, "status", "broken"), _noted(text, notes, json.dumps(known.dead))]
        if known.answer is not None:
            path = _follow(root, ["records", name, "known_answers"], "")
            if any(node is not None and (uses[id(node)] > 1 or node.flow_style) for node in path[-2:]):
                by_hand = "\n".join(writer.listed(known.answer, "      "))
                left.setdefault(name, []).append(
                    f"what is known of it stands in one line, or is shared. Write by hand:\n{by_hand}"
                )
                continue
            changes.append(_answered(text, path, known.answer))
    clips = {url: digest for known in learnt.values() for url, digest in known.clips.items()}
    changes += [_change(text, [node], "sha256", _written(digest)) for node, digest in _unmeasured(root, clips)]
    for start, end, written in sorted(changes, reverse=True):
        text = text[:start] + written + text[end:]
    return text, {name: " ".join(why) for name, why in left.items()}


_Change: TypeAlias = tuple[int, int, str]  # from where to where a text is replaced, and by what


def _change(text: str, path: Sequence[Any], field: str, written: str) -> _Change:
    """Return what gives a field this value; it goes before the others where the mapping lacks it."""
    if path[-1] is not None:
        return path[-1].start_mark.index, path[-1].end_mark.index, written
    mapping, first = path[-2], path[-2].value[0][0].start_mark
    after = ", " if mapping.flow_style else _line_end(text) + " " * first.column
    return first.index, first.index, f"{field}: {written}{after}"


_ANCHOR = re.compile(r"(?:&\S+\s+)?")


def _noted(text: str, path: Sequence[Any], note: str) -> _Change:
    """Return what adds a note to those of a record."""
    notes = path[-1]
    if notes is None or notes.tag == _NULL:
        return _change(text, path, "notes", f"[{note}]")
    if notes.flow_style:
        place = notes.end_mark.index - 1
        return place, place, f", {note}" if notes.value else note
    dash = next(_ANCHOR.finditer(text, notes.start_mark.index)).end()  # the first note may be an alias, of elsewhere
    indent = dash - (text.rfind("\n", 0, dash) + 1)
    return dash, dash, f"- {note}{_line_end(text)}{' ' * indent}"


def _answered(text: str, path: Sequence[Any], answer: KnownAnswer) -> _Change:
    """Return what adds a known answer to those of a record, before its last field where it has none."""
    record, answers = path[-2], path[-1]
    if answers is None:
        place, key = record.value[-1][0].start_mark.index, ["known_answers:"]
        column = record.value[-1][0].start_mark.column
        lines = key + writer.listed(answer, " " * (column + 2))
    else:
        place = next(_ANCHOR.finditer(text, answers.start_mark.index)).end()
        column = place - (text.rfind("\n", 0, place) + 1)
        lines = writer.listed(answer, " " * column)
    return place, place, _line_end(text).join([*lines, " " * column]).lstrip()


def _unmeasured(root: Any, clips: Mapping[str, str]) -> Iterator[tuple[Any, str]]:
    """Yield the nulls in which the digests of files belong that known answers are of, each once, however often named.

    An address is one file, whichever records name it.
    """
    seen: dict[int, tuple[Any, str]] = {}
    for record in _value(root, "records").value:
        answers = _value(record[1], "known_answers")
        for answer in answers.value if isinstance(answers, yaml.SequenceNode) else ():
            clip = _value(answer, "input")
            digest, node = clips.get(_value(clip, "url", "value")), _value(clip, "sha256")
            if digest is not None and node is not None and node.tag == _NULL:
                seen[id(node)] = node, digest
    yield from seen.values()


# --- further forms ------------------------------------------------------------------------------------------------

_STATED = {"url", "sha256", "size", "container", "layout", "license"}  # by each form: what is shared cannot change it


def with_further_forms(record: Record, forms: Sequence[Checkpoint], files: Sequence[Path]) -> Patch:
    """Return what adds forms after those that a record has, as `git apply` takes it; one that was manual is available.

    Where a record's checkpoint is shared or stands in a way that is not understood, or its file says more of all
    checkpoints than these do, `left` says what to write by hand.
    Raises: RegistryError if a file cannot be read.
    """
    name, opened = record.name, record.status == "manual"
    for file in files:
        sections = strict_yaml.read(file).value
        if name not in sections["records"]:
            continue
        with file.open(encoding="utf-8", newline="") as stream:  # line ends stay what they are
            before = stream.read()
        shared = (sections.get("shared") or {}).get("checkpoint") or {}
        after = None if shared.keys() - _STATED else with_forms(before, name, forms, opened=opened)
        if after is None:
            lines = [line for form in forms for line in writer.listed(form, "      ")]
            by_hand = "\n".join([*lines, *(["    status: available"] if opened else [])])
            return Patch("", [], [], {name: f"write by hand into the list of its checkpoints:\n{by_hand}"})
        return Patch(difference(file, before, after), [str(file)], [name], {})
    raise RegistryError(f"{name}: found in none of {', '.join(map(str, files))}, expected its registry file")


def with_forms(text: str, name: str, forms: Sequence[Checkpoint], *, opened: bool = False) -> str | None:
    """Return the text of a registry file with forms added to a record's checkpoint, None where that has to be by hand.

    One form becomes a list of several, and where it is `opened` the status becomes available. What comes out is read
    again, and has to say the same of all else.
    """
    record = _follow(yaml.compose(text, Loader=yaml.SafeLoader), ["records", name])[-1]
    (key, node), (_, status) = _pair(record, "checkpoint"), _pair(record, "status")
    if key is None or node.start_mark.index < key.end_mark.index:  # what its file shares, or an alias of elsewhere
        return None
    end, indent = _line_end(text), " " * key.start_mark.column
    start, stop = node.start_mark.index, _last(node)
    stop += len(text[stop:].partition("\n")[0].removesuffix("\r"))  # and a comment on its last line
    if isinstance(node, yaml.SequenceNode):
        before, whole, items = text[:start], text[start:stop], " " * node.start_mark.column
        if node.flow_style:
            return None
    elif node.flow_style:
        items = f"{indent}  "
        before, whole = f"{text[: key.end_mark.index]}:{end}{items}- ", text[start:stop]
    else:
        items = f"{indent}  "
        before, whole = f"{text[:start].rstrip(' ')}{items}- ", text[start:stop].replace("\n", "\n  ")
    added = [line for form in forms for line in writer.listed(form, items)]
    added += [f"{indent}status: available"] if opened and status is None else []
    after = before + end.join([whole, *added]) + text[stop:]
    if opened and status is not None:
        shift = len(after) - len(text) if status.start_mark.index > stop else 0
        after = after[: status.start_mark.index + shift] + "available" + after[status.end_mark.index + shift :]
    return after if _says(text, after, name, forms, opened) else None


def _says(before: str, after: str, name: str, forms: Sequence[Checkpoint], opened: bool) -> bool:
    """Return whether a changed file has the forms, and nothing else that the file before it had not."""
    expected = yaml.safe_load(before)
    record = expected["records"][name]
    there = record["checkpoint"]
    written = yaml.safe_load("\n".join(line for form in forms for line in writer.listed(form, "")))
    record["checkpoint"] = [*(there if isinstance(there, list) else [there]), *written]
    if opened:
        record["status"] = "available"
    try:
        return bool(yaml.safe_load(after) == expected)
    except yaml.YAMLError:
        return False


def _last(node: Any) -> int:
    """Return where the text of a node ends; a block's own mark stands where the next one begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


# --- nodes and texts -----------------------------------------------------------------------------------------------


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _obstacle(path: Sequence[Any], field: str, uses: Mapping[int, int]) -> str | None:
    """Return why a field of a checkpoint, at the end of a path, cannot be written where it stands, None if it can."""
    if path[-1] is None and (field != "container" or path[-2] is None):
        return "its own checkpoint has no field to fill; what its file says in `shared` is of all records"
    if any(uses[id(node)] > 1 for node in path):
        return "its checkpoint is shared, by an alias"
    return None


def _references(node: Any, seen: set[int] | None = None) -> Iterator[int]:
    """Yield the id of each node once for every place that refers to it."""
    seen = set() if seen is None else seen
    yield id(node)
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _references(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _references(item, seen)


def _follow(root: Any, keys: Sequence[str], url: str = "") -> list[Any]:
    """Return the nodes on the way along `keys`, None as the last where it ends; of a list the item with this URL."""
    path = [root]
    for key in keys:
        if isinstance(path[-1], yaml.SequenceNode):
            path.append(next((item for item in path[-1].value if _value(item, "url", "value") == url), None))
        path.append(_value(path[-1], key))
    return path


def _value(node: Any, key: str, attribute: str | None = None) -> Any:
    """Return the node of a mapping's key, or what it holds; None if there is none."""
    value = _pair(node, key)[1]
    return value if attribute is None else getattr(value, attribute, None)


def _pair(node: Any, key: str) -> tuple[Any, Any]:
    """Return the nodes of a mapping's key and of its value, twice None if there is none."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((name, value) for name, value in pairs if name.value == key), (None, None))


def _written(value: str | int) -> str:
    """Return a value as it stands in a registry file; a digest that YAML would take for a number is quoted."""
    text = str(value)
    return f'"{text}"' if isinstance(value, str) and not isinstance(yaml.safe_load(text), str) else text


def difference(file: Path, before: str, after: str) -> str:
    """Return a unified diff under a line that says where it applies."""
    folder, name = _place(file)
    old, new = (io.StringIO(text).readlines() for text in (before, after))  # str.splitlines splits at more than \n
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    ended = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return f"# {file}: apply with `patch -p1` or `git apply` in {folder}\n" + "".join(ended)


def _place(file: Path) -> tuple[Path, str]:
    """Return the folder that a patch applies in, the top of a repository if there is one, and the name there."""
    if file == resources.registry_file().resolve():
        return file.parent, file.name  # at the top of our repository, wherever a wheel has it
    top = next((folder for folder in file.parents if (folder / ".git").exists()), file.parent)
    return top, file.relative_to(top).as_posix()
