"""A registry file with further forms of a record's checkpoint: a patch that changes nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from videohub.errors import RegistryError
from videohub.registry import strict_yaml, writer
from videohub.registry.patch import Patch, difference
from videohub.registry.schema import Checkpoint, Record

_STATED = {"url", "sha256", "size", "container", "layout", "license"}  # by each form: what is shared cannot change it


def registry_patch(record: Record, forms: Sequence[Checkpoint], files: Sequence[Path]) -> Patch:
    """Return what adds forms after those that a record has, as `git apply` takes it; one that was manual is available.

    Where a record's checkpoint is shared or stands in a way that is not understood, or its file says more of all
    checkpoints than these do, `left` says what to write by hand.
    Raises: RegistryError if a file cannot be read.
    """
    name, opened = record.name, record.status == "manual"
    for file in files:
        if name not in strict_yaml.read(file).value["records"]:
            continue
        with file.open(encoding="utf-8", newline="") as stream:  # line ends stay what they are
            before = stream.read()
        shared = (strict_yaml.read(file).value.get("shared") or {}).get("checkpoint") or {}
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
    record = _value(_value(yaml.compose(text, Loader=yaml.SafeLoader), "records"), name)
    (key, node), (_, status) = _pair(record, "checkpoint"), _pair(record, "status")
    if key is None or node.start_mark.index < key.end_mark.index:  # what its file shares, or an alias of elsewhere
        return None
    end, indent = "\r\n" if "\r\n" in text else "\n", " " * key.start_mark.column
    start, stop = node.start_mark.index, _last(node)
    stop += len(_rest_of_line(text, stop))
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


def _rest_of_line(text: str, start: int) -> str:
    """Return what stands behind a value on its line: a comment."""
    return text[start:].partition("\n")[0].removesuffix("\r")


def _pair(mapping: Any, key: str) -> tuple[Any, Any]:
    pairs = mapping.value if isinstance(mapping, yaml.MappingNode) else []
    return next(((name, value) for name, value in pairs if name.value == key), (None, None))


def _value(mapping: Any, key: str) -> Any:
    return _pair(mapping, key)[1]
