"""The reference has every public name and every verb, with the words that stand in the code."""

from __future__ import annotations

import json
import re

import click
import pytest

import videohub
from videohub import errors, registry
from videohub.cli import cli

griffe = pytest.importorskip("griffe")  # of the extra `docs`

from tools.site import docstrings, reference  # noqa: E402

KNOWN = registry.load(registry.files()[0])


def test_every_public_name_has_its_place_once_and_leads_to_where_it_is_defined():
    names = [name for topic in reference.TOPICS.values() for name in topic]
    assert sorted(names) == sorted(videohub.__all__)
    pages = dict(reference.pages(KNOWN))
    assert len(pages) == len(reference.TOPICS) + len(reference.MODULES) + 1
    shown = {}
    for text in pages.values():
        for home, options in re.findall(r"^::: (\S+)\n    options: (\{\"heading.*\})$", text, flags=re.MULTILINE):
            shown[json.loads(options)["heading"]] = home
    assert shown["videohub.load"] == "videohub.loading.load"
    assert {f"videohub.{name}" for name in videohub.__all__} <= set(shown)
    for module in ("registry", "convert", "metrics"):
        assert {f"videohub.{module}.{name}" for name in getattr(videohub, module).__all__} <= set(shown)
    kinds = [name for name, kind in vars(errors).items() if isinstance(kind, type)]
    assert {f"videohub.errors.{name}" for name in kinds} <= set(shown)


def test_every_verb_is_there_with_its_options_and_defaults():
    text = reference.command_line()
    for name in cli.commands:
        assert f"\n## videohub {name}\n" in text
        command = cli.commands[name]
        if isinstance(command, click.Group):
            assert all(f"\n## videohub {name} {each}\n" in text for each in command.commands)
    assert r"- **`--clips INTEGER RANGE`**: How many videos.  \[default: 320; x\>=1\]" in text
    assert text.count("```") % 2 == 0
    assert "\b" not in text


def test_words_of_a_verb_are_shown_and_mean_nothing_to_markdown():
    assert reference.escaped("a_b <c> `d_e` [f|g]") == r"a\_b \<c\> `d_e` \[f\|g\]"
    command = click.Command("a", help="One.\n\n\b\nx  y\nz  *\n\nTwo *.")
    assert reference.words_of(command) == "One.\n\n```text\nx  y\nz  *\n```\n\nTwo \\*."


def test_a_docstring_s_sections_become_a_list_and_paragraphs():
    docstring = (
        "Return it.\n\nArgs:\n    one, two: First,\n        and second.\n    *more: Others.\n    As for `load`.\n"
        "Returns: what\n    it is.\nRaises: UsageError if it\n    is not, ValueError else.\nSource: a paper."
    )
    assert re.sub("\n+", "\n", docstrings.as_markdown(docstring)).splitlines() == [
        "Return it.",
        "**Arguments:**",
        "- **`one, two`**: First, and second.",
        "- **`*more`**: Others.",
        "- As for `load`.",
        "**Returns:** what it is.",
        "**Raises:** [`UsageError`][videohub.errors.UsageError] if it is not, `ValueError` else.",
        "**Source:** a paper.",
    ]


def test_calls_in_a_module_s_words_are_code():
    assert docstrings.as_markdown("It does.\n\na.b(1)[2]\nc(x)\n\nMore (words).") == (
        "It does.\n\n```python\na.b(1)[2]\nc(x)\n```\n\nMore (words)."
    )


def test_verify_is_shown_with_the_arguments_that_it_is_called_with():
    extensions = griffe.load_extensions(docstrings.HouseStyle)
    package = griffe.load("videohub.verification", extensions=extensions)
    assert [parameter.name for parameter in package["verify"].parameters][:4] == ["name", "data", "root", "list_file"]


def test_fields_are_told_with_their_comments():
    code = 'class A:\n    """A thing."""\n\n    one: int  # from 0\n    two: str = ""\n    three = 3\n\n'
    code += "    def go(self): ...\n"
    extensions = griffe.load_extensions(docstrings.HouseStyle)
    with griffe.temporary_visited_package("package", {"__init__.py": code}, extensions=extensions) as module:
        assert module["A"].docstring.value == (
            "A thing.\n\n**Fields:**\n\n- **`one`** (`int`): from 0\n- **`two`** (`str`)\n- **`three`** = `3`"
        )
        assert list(module["A"].members) == ["go"]
