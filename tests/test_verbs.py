"""A verb is one file of `cli/`, which nothing else names."""

from __future__ import annotations

from videohub import cli, registry

VERB = '''
"""The verb count: how many records there are."""

import click

from videohub import registry
from videohub.terminal.layout import say
from videohub.terminal.options import print_json, with_json


@click.command("count")
@with_json
def command(as_json):
    """Count the records."""
    number = len(registry.default().records)
    print_json(number) if as_json else say(f"{number} records")
'''


def test_a_verb_is_one_file_and_no_other_place_is_touched(tmp_path, monkeypatch, run):
    (tmp_path / "count.py").write_text(VERB)
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    assert run("count", "--json") == (0, f"{len(registry.default().records)}\n", "")
    assert "Count the records." in run("--help")[1]
    assert "Did you mean 'count'?" in run("coutn")[2]


def test_every_file_of_the_command_line_is_a_verb_of_its_name():
    for name, command in cli.cli.commands.items():
        assert command.name == name
        assert command.help
