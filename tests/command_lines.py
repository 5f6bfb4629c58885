"""What a page has of shell and of files: whether a `videohub …` line is one that the command line takes, unrun."""

from __future__ import annotations

import re
import shlex

import click

from videohub.cli import cli


def calls_in(script: str) -> list[str]:
    """Return the calls of videohub in a shell script, each as a line `videohub VERB …` without what follows it."""
    lines = script.replace("\\\n", " ").splitlines()
    calls = (re.match(r"(?:\w.* -m videohub|videohub) (.*?)(?: (?:\|\||&&|[|;>]) .*)?$", line) for line in lines)
    return [f"videohub {call[1]}" for call in calls if call]


def named_files(page: str) -> dict[str, str]:
    """Return the files that a page shows: blocks that follow a paragraph which begins with the file's name."""
    pattern = r"^`([\w/]+\.(?:py|yaml))` (?:.+\n)+\n```(?:python no-run|yaml)\n((?:.*\n)*?)```$"
    return {block[1]: block[2] for block in re.finditer(pattern, page, flags=re.MULTILINE)}


def unknown_in(line: str) -> set[str]:
    """Return the options of a line `videohub VERB …` that its verb does not have; the verb, if there is none."""
    words = shlex.split(line, comments=True)[1:]
    verb, *arguments = words[2:] if words[0] == "--registry" else words
    command = cli.commands.get(verb)
    if isinstance(command, click.Group):
        verb, *arguments = arguments
        command = command.commands.get(verb)
    if command is None:
        return {verb}
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {word.partition("=")[0] for word in arguments if word.startswith("-")} - options - {"--help"}
