"""Read a YAML file as data and nothing more: no doubled keys, no guessed types, and each value with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from videohub.errors import RegistryError
from videohub.registry.complaints import Steps, complaint, shown

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster, and not everywhere
_TAG = "tag:yaml.org,2002:"

# What YAML 1.1 guesses from unquoted text, and the only spellings of it that a reader would guess too.
_PLAIN = {
    "int": re.compile(r"-?(0|[1-9][0-9]*)"),
    "float": re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+"),
    "bool": re.compile(r"true|false"),
    "null": re.compile(r"null|~"),
}


@dataclass(frozen=True)
class Document:
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
    return Document(file, walk.value(node, ()), walk.lines)


@dataclass
class _Walk:
    """One pass over the parsed nodes of a file."""

    file: Path
    lines: dict[Steps, int] = field(default_factory=dict)
    done: dict[int, Any] = field(default_factory=dict)  # by node, so that an alias costs nothing; `...` while open

    def value(self, node: Any, steps: Steps) -> Any:
        self.lines.setdefault(steps, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, steps)
        if id(node) not in self.done:
            self.done[id(node)] = ...
            self.done[id(node)] = (
                self._mapping(node, steps)
                if isinstance(node, yaml.MappingNode)
                else [self.value(item, (*steps, index)) for index, item in enumerate(node.value)]
            )
        if self.done[id(node)] is ...:
            raise self._complaint(node, steps, "contains itself")
        return self.done[id(node)]

    def _mapping(self, node: Any, steps: Steps) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag not in (f"{_TAG}str", f"{_TAG}merge"):
                what = f"`{key_node.value}`" if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                raise self._complaint(key_node, steps, f"has the key {what}, which is not text", "Quote it.")
            key: str = key_node.value
            line = key_node.start_mark.line + 1
            if key in first:
                what = f"stands twice, in lines {first[key]} and {line}"
                raise complaint(self.file, (*steps, key), what, advice="YAML would keep the last one only. Remove one.")
            first[key] = line
            if key_node.tag == f"{_TAG}merge":
                merged = self._merged(value_node, steps)
            else:
                self.lines[(*steps, key)] = line
                own[key] = self.value(value_node, (*steps, key))
        return {**merged, **own}

    def _merged(self, node: Any, steps: Steps) -> dict[str, Any]:
        """Return what `<<` brings in; of several mappings the first wins."""
        sources = self.value(node, (*steps, "<<"))
        result: dict[str, Any] = {}
        for source in sources if isinstance(sources, list) else [sources]:
            if not isinstance(source, dict):
                raise self._complaint(node, (*steps, "<<"), "merges something that is not a mapping")
            result = {**source, **result}
        return result

    def _scalar(self, node: Any, steps: Steps) -> str | int | float | bool | None:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind == "str":
            return str(text)
        if kind not in _PLAIN:
            what = f"is `{text}`, which YAML takes for a {kind}"
            raise self._complaint(node, steps, what, "Quote it if text is meant.")
        if not _PLAIN[kind].fullmatch(text):
            if not text:
                raise self._complaint(node, steps, "has no value", "Write null if there is none.")
            what = f"is `{text}`, which YAML takes for {shown(yaml.safe_load(text))}"
            advice = "Quote it if text is meant; write plain decimals, true, false or null otherwise."
            raise self._complaint(node, steps, what, advice)
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        return text == "true" if kind == "bool" else None

    def _complaint(self, node: Any, steps: Steps, what: str, advice: str = "") -> RegistryError:
        return complaint(self.file, steps, what, line=node.start_mark.line + 1, advice=advice)
