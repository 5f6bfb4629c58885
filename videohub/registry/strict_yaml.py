"""Read a YAML file as data and nothing more: no doubled keys, no guessed types, and each value with its line.

Of YAML's devices only anchors and aliases are known, and what a file costs is bounded before it is spent: its size,
how deep it is nested, and how many values it comes to once its aliases are followed.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from yaml.events import AliasEvent, Event, MappingStartEvent, ScalarEvent, SequenceEndEvent
from yaml.reader import Reader

from videohub.errors import RegistryError
from videohub.files import check_is_no_pipe
from videohub.registry.messages import Messages, Steps, file_error, shown

SIZE, DEPTH, VALUES = 2_000_000, 30, 100_000  # bytes of a file, lists within lists, values; ours has 50 kB, 5 and 2,000
_WHOLE, _DECIMAL = 18, 400  # letters of a number: what 64 bits hold

_TAG = "tag:yaml.org,2002:"
_TEXT, _MERGE = f"{_TAG}str", f"{_TAG}merge"

# What YAML 1.1 guesses from unquoted text, and the only spellings of it that a reader would guess too.
_WORDS = {("bool", "true"): True, ("bool", "false"): False, ("null", "null"): None, ("null", "~"): None}
_DIRECTIVE = re.compile("^%", re.MULTILINE)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C one is not everywhere
    """PyYAML's loader, in C where that exists, which is ten times faster."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.resolve = functools.cache(super().resolve)  # the same few words stand in every record


class Document(msgspec.Struct, frozen=True):
    """A file's data, which nobody changes, and the line on which each value stands."""

    file: Path
    value: Any
    lines: dict[Steps, int]

    def line(self, steps: Steps) -> int | None:
        """Return the line of the value that `steps` lead to, or of the nearest thing around it."""
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps)


def read(file: Path, messages: Messages | None = None) -> Document:
    """Return the data of a YAML file, made of dict, list, str, int, float, bool and None.

    `messages` take what is wrong with single values, so that the rest is read, too; None: it is raised at once.
    Raises: RegistryError if it cannot be read, is not YAML, is larger than `SIZE`, deeper than `DEPTH` or comes to more
        than `VALUES`, says a key twice, has a tag or a merge (`<<`), or holds text that YAML would take for something
        else, such as `no` (false), `010` (8), `1_6` (16) or `2020-06-09` (a date).
    """
    try:
        check_is_no_pipe(file)
        with file.open("rb") as opened:
            content = opened.read(SIZE + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise RegistryError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RegistryError(f"{file}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    if len(content) > SIZE:
        raise file_error(file, (), f"is larger than {SIZE:,} bytes", advice="Divide it into several files.")
    if control := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise file_error(file, (), f"is not YAML: it has the letter U+{ord(control[0]):04X}", line=line)
    if directive := _DIRECTIVE.search(text):
        line = text.count("\n", 0, directive.start()) + 1
        what = "has a directive, a line that begins with `%`"  # thousands of them take libyaml half a minute
        raise file_error(file, (), what, line=line, advice="Remove it; set the line in if it is text.")
    try:
        try:
            return _document(file, text)
        except RegistryError:
            if messages is None:
                raise
        return _Reading(file, text, messages).document()
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark.line + 1 if error.problem_mark else None
        raise file_error(file, (), f"is not YAML: {error.problem}", line=place) from error
    except yaml.YAMLError as error:
        raise file_error(file, (), f"is not YAML: {error}") from error


@functools.lru_cache(maxsize=64)
def _document(file: Path, text: str) -> Document:
    """Return what a flawless file holds; what writes into a registry's files reads each one several times."""
    return _Reading(file, text, None).document()


class _Reading:
    """One pass over a file, as its parser meets the values."""

    def __init__(self, file: Path, text: str, messages: Messages | None) -> None:
        self.file = file
        self.messages = messages
        self.loader = _Loader(text)
        self.lines: dict[Steps, int] = {}
        self.values = 0  # met so far, those of aliases among them
        self.anchored: dict[str, tuple[Any, int] | None] = {}  # the value and what it comes to; None while it is open

    def document(self) -> Document:
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            raise file_error(self.file, (), "is empty")
        first = self._next()
        self.lines[()] = _line(first)
        value = self._value(first, ())
        self._next()  # the document ends
        if not isinstance(last := self._next(), yaml.StreamEndEvent):
            raise self._error(last, (), "has a second document (`---`)", "Take one file for each.")
        return Document(self.file, value, self.lines)

    def _next(self) -> Any:
        return self.loader.get_event()

    def _value(self, event: Any, steps: Steps) -> Any:
        self.values += 1
        if self.values > VALUES:
            raise self._error(event, steps, f"comes after {VALUES:,} values, and there must be no more", "")
        if isinstance(event, AliasEvent):
            return self._alias(event, steps)
        if event.tag not in (None, "!"):
            raise self._error(
                event, steps, f"has the tag `{event.tag}`", "Remove it; quote the value if text is meant."
            )
        if len(steps) > DEPTH:
            raise self._error(event, steps, f"is nested more than {DEPTH} deep")
        before = self.values
        if event.anchor is not None:
            self.anchored[event.anchor] = None
        value: Any
        if isinstance(event, ScalarEvent):
            value = self._scalar(event, steps)
        else:
            value = dict(self._pairs(steps)) if isinstance(event, MappingStartEvent) else list(self._items(steps))
        if event.anchor is not None:
            self.anchored[event.anchor] = value, self.values - before
        return value

    def _alias(self, event: Any, steps: Steps) -> Any:
        if event.anchor not in self.anchored:
            raise self._error(event, steps, f"is `*{event.anchor}`, and nothing before it is `&{event.anchor}`")
        anchored = self.anchored[event.anchor]
        if anchored is None:
            raise self._error(event, steps, "contains itself")
        value, cost = anchored
        self.values += cost
        return value

    def _items(self, steps: Steps) -> Iterator[Any]:
        index = 0
        while not isinstance(event := self._next(), SequenceEndEvent):
            self.lines[(*steps, index)] = _line(event)
            yield self._value(event, (*steps, index))
            index += 1

    def _pairs(self, steps: Steps) -> Iterator[tuple[str, Any]]:
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, steps)
            there = (*steps, key)
            if there in self.lines:
                what = f"stands twice, in lines {self.lines[there]} and {_line(event)}"
                self._note(None, there, what, "YAML would keep the last one only. Remove one.")
            self.lines[there] = _line(event)
            yield key, self._value(self._next(), there)

    def _key(self, event: Any, steps: Steps) -> str:
        if isinstance(event, AliasEvent):
            raise self._error(event, steps, f"has the key `*{event.anchor}`, an alias", "Write it out.")
        if event.tag not in (None, "!"):
            raise self._error(event, steps, f"has the tag `{event.tag}` before a key", "Remove it.")
        if not isinstance(event, ScalarEvent):
            raise self._error(event, steps, "has the key a list or mapping, which is not text", "Quote it.")
        tag = self._tag(event)
        if tag == _MERGE:
            advice = "Write the fields out, or take an alias for the whole value."
            raise self._error(event, steps, "has a merge (`<<`), which is not read", advice)
        if tag != _TEXT:
            raise self._error(event, steps, f"has the key `{event.value}`, which is not text", "Quote it.")
        if event.anchor is not None:
            self.anchored[event.anchor] = event.value, 0
        return event.value

    def _tag(self, event: Any) -> str:
        return self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)

    def _scalar(self, event: Any, steps: Steps) -> str | int | float | bool | None:
        """Return a value; one that is noted as wrong is text from then on."""
        text: str = event.value
        tag = _TEXT if event.tag == "!" else self._tag(event)
        if tag == _TEXT:
            return text
        kind = tag.removeprefix(_TAG)
        if (kind, text) in _WORDS:
            return _WORDS[kind, text]
        if kind in ("int", "float"):
            limit = _WHOLE if "." not in text else _DECIMAL
            if len(text) > limit:
                what = f"is a number of {len(text):,} letters, expected at most {limit}"
                return self._note(event, steps, what, "Quote it if text is meant.")
            if number := _NUMBER.fullmatch(text):
                value = float(text) if number["fraction"] else int(text)
                if value in (math.inf, -math.inf):
                    return self._note(event, steps, f"is a number of {len(text):,} letters, which is infinite")
                return value
        if kind not in ("int", "float", "bool", "null"):
            what = f"is `{text}`, which YAML takes for a {kind}"
            return self._note(event, steps, what, "Quote it if text is meant.")
        if not text:
            return self._note(event, steps, "has no value", "Write null if there is none.")
        what = f"is `{text}`, which YAML takes for {_guess(text)}"
        advice = "Quote it if text is meant; write plain decimals, true, false or null otherwise."
        return self._note(event, steps, what, advice)

    def _note(self, event: Any, steps: Steps, what: str, advice: str = "") -> str:
        """Note what is wrong with one value, after which the others can still be read; return its text."""
        line = _line(event) if event else None
        if self.messages is None:
            raise file_error(self.file, steps, what, line=line, advice=advice)
        self.messages.add(self.file, steps, what, line=line, advice=advice)
        return event.value if event else ""

    def _error(self, event: Event, steps: Steps, what: str, advice: str = "") -> RegistryError:
        return file_error(self.file, steps, what, line=_line(event), advice=advice)


def _guess(text: str) -> str:
    """Return what a usual reader makes of unquoted text; some, such as `0x_`, it takes for a number and cannot read."""
    try:
        return shown(yaml.safe_load(text))
    except (ValueError, yaml.YAMLError):
        return "a number"


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1
