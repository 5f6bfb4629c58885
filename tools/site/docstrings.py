"""Lets mkdocstrings read the docstrings of this house, whose sections are rewritten as Markdown.

An extension of griffe's, which reads the code without running it; mkdocs.yml names it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe

from videohub import errors

_SECTION = re.compile(r"^(Returns|Yields|Raises|Source): (\S.*(?:\n +\S.*)*)$", flags=re.MULTILINE)
_ARGUMENTS = re.compile(r"^(Args|Attributes):\n((?: {4}.*\n?)+)", flags=re.MULTILINE)
_ARGUMENT = re.compile(r"^ {4}(?:([\w*]+(?:, [\w*]+)*): )?(\S.*(?:\n {5,}.*)*)$", flags=re.MULTILINE)
_CALLS = re.compile(r"^(?:[\w.]+\(.*\n)*[\w.]+\(.*$")
_ERROR = re.compile(r"(?<![\w`.])[A-Z]\w*Error\b")


class HouseStyle(griffe.Extension):
    """Rewrites docstrings, and gives functions of one struct the arguments that they are called with."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite an object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Tell a class's fields and properties in its docstring, a line for each, instead of a section for each."""
        shown = [each for each in cls.attributes.values() if not each.is_alias and not each.name.startswith("_")]
        for each in shown:
            del cls.members[each.name]
        if shown:
            words = cls.docstring.value if cls.docstring else ""
            cls.docstring = griffe.Docstring("\n".join([words, "", "**Fields:**", "", *map(_field, shown)]), parent=cls)

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Take the signature that `called_with` has made, as `help` shows it."""
        if any("called_with" in str(decorator.value) for decorator in func.decorators):
            function = getattr(importlib.import_module(func.module.path), func.name)
            func.parameters = griffe.Parameters(*map(_parameter, inspect.signature(function).parameters.values()))


def as_markdown(docstring: str) -> str:
    """Return a docstring with its arguments as a list, other sections as paragraphs, and lines of calls as code."""
    text = _ARGUMENTS.sub(_listed, docstring)
    text = _SECTION.sub(_paragraph, text)
    blocks = (f"```python\n{block}\n```" if _CALLS.match(block) else block for block in text.split("\n\n"))
    return "\n\n".join(blocks)


def _field(attribute: griffe.Attribute) -> str:
    text = attribute.docstring.value.split("\n\n")[0] if attribute.docstring else ""
    if not text and (comment := re.search(r"  # (.+)$", attribute.source)):
        text = comment[1]
    # a class's constant, such as an error's exit code, is known by its value
    kind = f" (`{attribute.annotation}`)" if attribute.annotation else f" = `{attribute.value}`"
    return f"- **`{attribute.name}`**{kind}: {' '.join(text.split())}".removesuffix(": ")


def _listed(match: re.Match[str]) -> str:
    result = [(names, " ".join(words.split())) for names, words in _ARGUMENT.findall(match[2])]
    items = (f"- **`{names}`**: {words}" if names else f"- {words}" for names, words in result)
    return "\n**Arguments:**\n\n" + "\n".join(items) + "\n\n"


def _paragraph(match: re.Match[str]) -> str:
    words = " ".join(match[2].split())
    return f"\n**{match[1]}:** {_ERROR.sub(_linked, words) if match[1] == 'Raises' else words}\n"


def _linked(match: re.Match[str]) -> str:
    return f"[`{match[0]}`][videohub.errors.{match[0]}]" if hasattr(errors, match[0]) else f"`{match[0]}`"


def _parameter(parameter: inspect.Parameter) -> griffe.Parameter:
    annotation = re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", inspect.formatannotation(parameter.annotation))
    default = None if parameter.default is parameter.empty else repr(parameter.default)
    kind = griffe.ParameterKind[parameter.kind.name.lower()]
    return griffe.Parameter(parameter.name, annotation=annotation, kind=kind, default=default)
