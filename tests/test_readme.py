"""The README says what is so."""

import re
from pathlib import Path

from click.testing import CliRunner

from tests.command_lines import unknown_in
from tools import zoo_page, zoo_plot
from videohub import registry
from videohub.cli import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_zoo_is_told_as_the_records_have_it():
    """`python tools/zoo_page.py` writes the page and the plot anew, and prints what the README has of them."""
    known = registry.load(registry.files()[0])
    assert zoo_page.PAGE.read_text(encoding="utf-8") == zoo_page.page(known)
    assert zoo_page.IMAGE.read_text(encoding="utf-8") == zoo_plot.image(known)
    assert "\n".join(zoo_page.summary(known)) in README
    rows = [line for line in zoo_page.PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) == len(known.records) >= 25


def test_the_two_commands_stand_at_the_top_and_ci_runs_one_of_them():
    assert README.index("make demo") < README.index("make test") < README.index("## ")
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


def test_every_command_line_of_the_readme_parses():
    lines = re.findall(r"^    (videohub .*)$", README, flags=re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        assert unknown_in(line) == set(), line


def test_every_verb_explains_itself():
    verbs = [[verb] for verb in cli.commands]
    verbs += [[group, verb] for group in ("cache", "data", "registry") for verb in cli.commands[group].commands]
    for verb in verbs:
        answer = CliRunner().invoke(cli, [*verb, "--help"])
        assert answer.exit_code == 0
        assert len(answer.output.splitlines()[2].strip()) > 20
        assert all(len(line) <= 80 for line in answer.output.splitlines())
