"""Whether a `videohub …` line of a page is one that the command line takes, without running it."""

from __future__ import annotations

import shlex

import click

from videohub.cli import cli


def unknown_in(line: str) -> set[str]:
    """Return the options of a line `videohub VERB …` that its verb does not have; the verb, if there is none."""
    verb, *arguments = shlex.split(line, comments=True)[1:]
    command = cli.commands.get(verb)
    if isinstance(command, click.Group):
        verb, *arguments = arguments
        command = command.commands.get(verb)
    if command is None:
        return {verb}
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {word.partition("=")[0] for word in arguments if word.startswith("-")} - options - {"--help"}
