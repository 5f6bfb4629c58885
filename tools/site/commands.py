"""The reference of the command line: every verb with its words, arguments, options and defaults, from click itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from videohub.cli import cli
from videohub.registry import Registry

_SPECIAL = re.compile(r"([\\*_<>\[\]|#])")


def pages(_: Registry) -> Iterator[tuple[str, str]]:
    """Yield the page."""
    whole = click.Context(cli, info_name="videohub")
    lines = ["# The command line", "", *described(cli, whole)]
    for command, context in verbs(cli, whole):
        lines += [f"## {context.command_path}", "", *described(command, context)]
    yield "reference/commands.md", "\n".join(lines)


def verbs(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every verb of a group, and those of its groups, in the order of their names."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        own = click.Context(command, info_name=name, parent=context)
        yield command, own
        if isinstance(command, click.Group):
            yield from verbs(command, own)


def described(command: click.Command, context: click.Context) -> list[str]:
    """Return how a verb is called, what it says of itself, and each of its options."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = ["```text", usage, "```", "", words_of(command), ""]
    for parameter in command.params:  # without --help
        if record := parameter.get_help_record(context):
            names, words = record
            lines.append(f"- **`{names}`**: {escaped(words)}".removesuffix(": "))
    return [*lines, ""]


def words_of(command: click.Command) -> str:
    """Return what a verb says of itself; a paragraph that click would not wrap stays as it is."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        f"```text\n{words[2:]}\n```" if words.startswith("\b\n") else escaped(words) for words in paragraphs
    )


def escaped(text: str) -> str:
    """Return text as Markdown that shows it; what stands between backticks is code and stays."""
    parts = text.split("`")
    return "`".join(_SPECIAL.sub(r"\\\1", part) if place % 2 == 0 else part for place, part in enumerate(parts))
