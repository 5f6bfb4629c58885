"""The reference: of the library, a page for each thing that it is used for, made of the public names' docstrings; of
the command line, every verb with its words, arguments, options and defaults, from click itself.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence

import click

import videohub
from videohub.cli import cli
from videohub.registry import Registry

# The names of videohub.__all__ by what they are used for; a test sees that each is in one place.
TOPICS = {
    "Find and fetch": ("list_models", "record", "fetch"),
    "Networks": ("load", "build", "save", "inflate", "optimize", "kept_memory", "VideoModel"),
    "Videos": ("transforms", "views", "to_pixels", "ClipDataset"),
    "Predictions": (
        "predict", "predict_many", "predict_windows", "Prediction", "Predicted", "PredictedWindow",
        "detect", "Detection", "features", "Features",
    ),
    "Verification": (
        "verify", "verify_together", "evaluate", "Report", "Evaluated", "video_scores", "VideoScores",
        "check", "Checked", "speed", "Speed",
    ),
    "Exports": ("export", "Exported"),
}  # fmt: skip
MODULES = ("registry", "convert", "metrics", "errors")
_SPECIAL = re.compile(r"([\\*_<>\[\]|#])")  # what Markdown would obey


def pages(_: Registry) -> Iterator[tuple[str, str]]:
    """Yield a page for each topic, one for each public module, and that of the command line."""
    for title, names in TOPICS.items():
        homes = {f"videohub.{name}": f"{videohub._HOME[name]}.{name}" for name in names}
        yield f"reference/{title.lower().replace(' ', '_')}.md", page(title, "", homes)
    for name in MODULES:
        module = f"videohub.{name}"
        intro = f"::: {module}\n    options: {{show_root_heading: false, show_root_toc_entry: false, members: false}}"
        yield (
            f"reference/{name}.md",
            page(module, intro, {f"{module}.{each}": f"{module}.{each}" for each in names_of(name)}),
        )
    yield "reference/commands.md", command_line()


def names_of(module: str) -> Sequence[str]:
    """Return the public names of a module of videohub's: those of `__all__`, else the classes that it defines."""
    result = importlib.import_module(f"videohub.{module}")
    ours = [name for name, value in vars(result).items() if getattr(value, "__module__", None) == result.__name__]
    return getattr(result, "__all__", ours)


def page(title: str, intro: str, homes: Mapping[str, str]) -> str:
    """Return a page that has each name's docstring, taken from where it is defined."""
    lines = [f"# {title}", "", intro, ""]
    for name, home in homes.items():
        options = json.dumps({"heading": name, "toc_label": name.rpartition(".")[2], "heading_level": 2})
        lines += [f"::: {home}", f"    options: {options}", ""]
    return "\n".join(lines)


def command_line() -> str:
    """Return the page of the command line."""
    whole = click.Context(cli, info_name="videohub")
    lines = ["# The command line", "", *described(cli, whole)]
    for command, context in verbs(cli, whole):
        lines += [f"## {context.command_path}", "", *described(command, context)]
    return "\n".join(lines)


def verbs(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every verb of a group, and those of its groups, in the order of their names."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        ours = click.Context(command, info_name=name, parent=context)
        yield command, ours
        if isinstance(command, click.Group):
            yield from verbs(command, ours)


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
