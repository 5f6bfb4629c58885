"""What the guides say is so: their Python and shell blocks run, in order, as a reader would run them.

Each guide has a folder of its own (`workplace`); the demo's network, `slowfast_motions`, needs no download. Blocks
marked ```python or ```sh run; Python blocks share their names. What cannot run here (published weights, a network, a
GPU) is marked `no-run` behind the language, and only has to parse.
"""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command_lines import calls_in, unknown_in

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "guides"
GUIDES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")


@dataclass(frozen=True)
class Block:
    """A fenced block of a guide."""

    language: str
    runs: bool
    text: str
    line: int  # of its first line


def blocks(page: str) -> list[Block]:
    """Return the Python and shell blocks of a page, in order."""
    found = re.finditer(r"^```(python|sh)( no-run)?\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2] is None, match[3], page.count("\n", 0, match.start(3)) + 1) for match in found]


def page_of(guide: str) -> str:
    return (FOLDER / f"{guide}.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_s_blocks_run_in_order(guide, workplace):
    names = {"__name__": "__main__"}
    for block in (block for block in blocks(page_of(guide)) if block.runs):
        where = f"docs/guides/{guide}.md:{block.line}"
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, where, "exec"), names)
            continue
        done = subprocess.run(["sh", "-euc", block.text], cwd=workplace, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_s_code_parses_and_its_commands_have_their_options(guide):
    found = blocks(page_of(guide))
    assert any(block.runs for block in found)
    for block in found:
        if block.language == "python":
            ast.parse(block.text, filename=f"{guide}.md")
            continue
        for line in calls_in(block.text):
            assert unknown_in(line) == set(), line


def test_the_scripts_for_slurm_are_shell_and_call_what_is_there():
    scripts = [block.text for block in blocks(page_of("verifying")) if block.text.startswith("#!/bin/bash\n#SBATCH")]
    assert [len(calls_in(script)) for script in scripts] == [1, 2]
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_has_a_line_in_the_index_and_every_fence_is_closed(guide):
    assert f"({guide}.md)" in (FOLDER / "README.md").read_text(encoding="utf-8")
    fences = re.findall(r"^```.*$", page_of(guide), flags=re.MULTILINE)
    assert len(fences) % 2 == 0
    assert set(fences) <= {"```", "```python", "```sh", "```python no-run", "```sh no-run", "```text", "```json"}


def test_every_page_of_the_index_is_there():
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\((\w+)\.md\)", index)) == GUIDES


def test_blocks_know_their_language_whether_they_run_and_where_they_stand():
    page = "# A\n\n```sh\none\n```\n\n```python no-run\ntwo\n```\n```text\nthree\n```\n"
    assert blocks(page) == [Block("sh", True, "one\n", 4), Block("python", False, "two\n", 8)]
