"""The README says what is so, and that of the benchmarks what was measured."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.command_lines import unknown_in
from tools import zoo_page, zoo_plot
from videohub import registry
from videohub.cli import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (videohub .*)$", README, flags=re.MULTILINE)


def test_the_zoo_is_told_as_the_records_have_it():
    """`python tools/zoo_page.py` writes the page and the plot anew."""
    known = registry.load(registry.files()[0])
    assert zoo_page.PAGE.read_text(encoding="utf-8") == zoo_page.page(known)
    assert zoo_page.IMAGE.read_text(encoding="utf-8") == zoo_plot.image(known)
    rows = [line for line in zoo_page.PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) == len(known.records) >= 25


def test_it_is_one_screen_and_what_it_links_is_there():
    assert len(README.splitlines()) <= 80
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_two_commands_stand_at_the_top_and_ci_runs_one_of_them():
    assert README.index("make demo") < README.index("make test") < README.index("## ")
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {"demo", "test"} < set(re.findall(r"\bmake ([a-z-]+)", README)) <= set(targets)


def test_its_commands_are_ones_that_the_command_line_takes():
    assert len(COMMANDS) == 4
    for line in COMMANDS:
        assert unknown_in(line) == set(), line


@pytest.mark.slow
def test_its_commands_run_as_they_stand(workplace):
    """`verify` may say (3) that twenty of the 320 videos are too few."""
    for line in COMMANDS:
        done = subprocess.run(["sh", "-euc", line], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode in ((0, 3) if line.startswith("videohub verify") else (0,)), done.stderr
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})


def test_the_tables_of_networks_say_what_was_measured():
    """A line of benchmarks/README.md for each network and each implementation that it was timed beside."""
    lines = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").replace("*", "").splitlines()
    expected = []
    for path in sorted((ROOT / "benchmarks" / "results").glob("forward*.json")):
        for name, result in json.loads(path.read_text(encoding="utf-8"))["networks"].items():
            others = (key.removeprefix("times as fast as ") for key in result if key.startswith("times as fast as "))
            expected += [_row(name, result, other) for other in others]
    assert len(expected) >= 44
    assert [line for line in expected if line not in lines] == []


def _row(name: str, found: dict, other: str) -> str:
    times, share = found[f"times as fast as {other}"], found["GFLOP/s in an evaluation / product"]["median"]
    ours = found["seconds"]["optimized, in an evaluation"]["median"]
    theirs = found["seconds"][f"{other}, called by a program"]["median"]
    ratio = "{median:#.3g} ({min:#.3g}–{max:#.3g})".format(**times["in an evaluation"])
    both = [times[where]["median"] for where in ("called by a program", "both in an evaluation") if where in times]
    figures = " | ".join([f"{ours:#.3g}", f"{theirs:#.3g}", ratio, *(f"{each:#.3g}" for each in both)])
    return f"| {name} | {figures} | {100 * share:.0f} % |" if other == "plain" else f"| {name} | {other} | {figures} |"


def test_every_verb_explains_itself():
    verbs = [[verb] for verb in cli.commands]
    verbs += [[group, verb] for group in ("cache", "data", "registry") for verb in cli.commands[group].commands]
    for verb in verbs:
        answer = CliRunner().invoke(cli, [*verb, "--help"])
        assert answer.exit_code == 0
        assert len(answer.output.splitlines()[2].strip()) > 20
        assert all(len(line) <= 80 for line in answer.output.splitlines())
