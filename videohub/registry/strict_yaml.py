"""Read a YAML file as data and nothing more: no doubled keys, no guessed types, and each value with its line."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from videohub.errors import RegistryError
from videohub.registry.complaints import Steps, complaint, shown

_TAG = "tag:yaml.org,2002:"
_TEXT, _MERGE = f"{_TAG}str", f"{_TAG}merge"

# What YAML 1.1 guesses from unquoted text, and the only spellings of it that a reader would guess too.
_WORDS = {("bool", "true"): True, ("bool", "false"): False, ("null", "null"): None, ("null", "~"): None}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C one is not everywhere
    """PyYAML's loader, in C where that exists, which is ten times faster."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.resolve = functools.cache(super().resolve)  # the same few words stand in every record


class Document(msgspec.Struct, frozen=True):
    """A file's data, and the line on which each value stands."""

    file: Path
    value: Any
    lines: dict[Steps, int]

    def line(self, steps: Steps) -> int | None:
        """Return the line of the value that `steps` lead to, or of the nearest thing around it."""
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps)


def read(file: Path) -> Document:
    """Return the data of a YAML file, made of dict, list, str, int, float, bool and None.

    Raises: RegistryError if it cannot be read, is not YAML, says a key twice, or holds text that YAML would take for
        something else, such as `no` (false), `010` (8), `1_6` (16) or `2020-06-09` (a date).
    """
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise RegistryError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RegistryError(f"{file}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise complaint(file, (), f"is not YAML: {error.problem}", line=line) from error
    except yaml.YAMLError as error:
        raise complaint(file, (), f"is not YAML: {error}") from error
    if node is None:
        raise complaint(file, (), "is empty")
    walk = _Walk(file)
    walk.lines[()] = node.start_mark.line + 1
    return Document(file, walk.value(node, ()), walk.lines)


class _Walk:
    """One pass over the parsed nodes of a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[Steps, int] = {}
        self.done: dict[int, Any] = {}  # by node, so that an alias costs nothing; `...` while open

    def value(self, node: Any, steps: Steps) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, steps)
        if id(node) not in self.done:
            self.done[id(node)] = ...
            walk = self._mapping if isinstance(node, yaml.MappingNode) else self._sequence
            self.done[id(node)] = walk(node, steps)
        if self.done[id(node)] is ...:
            raise self._complaint(node, steps, "contains itself")
        return self.done[id(node)]

    def _sequence(self, node: Any, steps: Steps) -> list[Any]:
        found = []
        for index, item in enumerate(node.value):
            there = (*steps, index)
            self.lines[there] = item.start_mark.line + 1
            found.append(self.value(item, there))
        return found

    def _mapping(self, node: Any, steps: Steps) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag not in (_TEXT, _MERGE):
                what = f"`{key_node.value}`" if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                raise self._complaint(key_node, steps, f"has the key {what}, which is not text", "Quote it.")
            there = (*steps, key_node.value)
            line = key_node.start_mark.line + 1
            if there in self.lines:
                what = f"stands twice, in lines {self.lines[there]} and {line}"
                raise complaint(self.file, there, what, advice="YAML would keep the last one only. Remove one.")
            self.lines[there] = line
            if key_node.tag == _MERGE:
                merged = self._merged(value_node, there)
            else:
                own[key_node.value] = self.value(value_node, there)
        return {**merged, **own}

    def _merged(self, node: Any, steps: Steps) -> dict[str, Any]:
        """Return what `<<` brings in; of several mappings the first wins."""
        sources = self.value(node, steps)
        result: dict[str, Any] = {}
        for source in sources if isinstance(sources, list) else [sources]:
            if not isinstance(source, dict):
                raise self._complaint(node, steps, "merges something that is not a mapping")
            result = {**source, **result}
        return result

    def _scalar(self, node: Any, steps: Steps) -> str | int | float | bool | None:
        text: str = node.value
        if node.tag == _TEXT:
            return text
        kind = node.tag.removeprefix(_TAG)
        if (kind, text) in _WORDS:
            return _WORDS[kind, text]
        if kind in ("int", "float") and (number := _NUMBER.fullmatch(text)):
            if kind == "int" and not number["fraction"]:
                return int(text)
            if kind == "float" and number["fraction"]:
                return float(text)
        if kind not in ("int", "float", "bool", "null"):
            what = f"is `{text}`, which YAML takes for a {kind}"
            raise self._complaint(node, steps, what, "Quote it if text is meant.")
        if not text:
            raise self._complaint(node, steps, "has no value", "Write null if there is none.")
        what = f"is `{text}`, which YAML takes for {shown(yaml.safe_load(text))}"
        advice = "Quote it if text is meant; write plain decimals, true, false or null otherwise."
        raise self._complaint(node, steps, what, advice)

    def _complaint(self, node: Any, steps: Steps, what: str, advice: str = "") -> RegistryError:
        return complaint(self.file, steps, what, line=node.start_mark.line + 1, advice=advice)
