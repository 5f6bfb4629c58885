"""What the guides say is so: their Python and shell blocks run, in order, as a reader would run them.

Each guide has a folder of its own (`workplace`); the demo's network, `slowfast_motions`, needs no download. Blocks
marked ```python or ```sh run; Python blocks share their names. A ```text block right behind a shell block is what that
prints, whatever its line breaks; `…` in it stands for anything. A block whose paragraph begins with a file's name is
that file. What cannot run here (published weights, a network, a
GPU) is marked `no-run` behind the language, and only has to parse.
"""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command_lines import calls_in, named_files, unknown_in
from videohub import errors
from videohub.errors import VideohubError

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
    shown: str = ""  # what it prints, as the guide says


def blocks(page: str) -> list[Block]:
    """Return the Python and shell blocks of a page, in order."""
    pattern = r"^```(python|sh)( no-run)?\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?"
    result = re.finditer(pattern, page, flags=re.MULTILINE | re.DOTALL)
    return [
        Block(match[1], match[2] is None, match[3], page.count("\n", 0, match.start(3)) + 1, match[4] or "")
        for match in result
    ]


def prints(text: str, shown: str) -> bool:
    """Return whether a text has in it what a guide shows of it."""
    parts = [re.escape(" ".join(part.split())) for part in shown.split("…")]
    return re.search(r".*?".join(parts), " ".join(text.split())) is not None


def page_of(guide: str) -> str:
    return (FOLDER / f"{guide}.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_s_blocks_run_in_order(guide, workplace):
    for name, text in named_files(page_of(guide)).items():
        (workplace / name).parent.mkdir(parents=True, exist_ok=True)
        (workplace / name).write_text(text, encoding="utf-8")
    names = {"__name__": "__main__"}
    for block in (block for block in blocks(page_of(guide)) if block.runs):
        where = f"docs/guides/{guide}.md:{block.line}"
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, where, "exec"), names)
            continue
        done = subprocess.run(["sh", "-euc", block.text], cwd=workplace, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
        assert prints(done.stdout + done.stderr, block.shown), f"{where}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_s_code_parses_and_its_commands_have_their_options(guide):
    result = blocks(page_of(guide))
    assert any(block.runs for block in result)
    for block in result:
        if block.language == "python":
            ast.parse(block.text, filename=f"{guide}.md")
            continue
        for line in calls_in(block.text):
            assert unknown_in(line) == set(), line


def test_the_scripts_for_slurm_are_shell_and_call_what_is_there():
    scripts = [block.text for block in blocks(page_of("cluster")) if block.text.startswith("#!/bin/bash\n#SBATCH")]
    assert [len(calls_in(script)) for script in scripts] == [1, 2, 1, 2]
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_has_a_line_in_the_index_and_every_fence_is_closed(guide):
    assert f"({guide}.md)" in (FOLDER / "README.md").read_text(encoding="utf-8")
    fences = re.findall(r"^```.*$", page_of(guide), flags=re.MULTILINE)
    assert len(fences) % 2 == 0
    assert set(fences) <= {
        "```",
        "```python",
        "```sh",
        "```python no-run",
        "```sh no-run",
        "```text",
        "```json",
        "```yaml",
    }


def test_every_kind_of_error_has_its_remedy_and_every_warning_is_one_of_ours():
    page = page_of("troubleshooting")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VideohubError)]
    sections = dict(re.findall(r"^## (\w+)$(.*?)(?=^## )", page, flags=re.MULTILINE | re.DOTALL))
    assert list(sections) == [kind.__name__ for kind in kinds]
    for kind in kinds[1:]:
        section = sections[kind.__name__]
        assert f"\nExit code {kind.exit_code}. " in section
        for block in blocks(section):
            assert f"{kind.__name__}: " in block.shown
            assert f"[ $? -eq {kind.exit_code} ]" in block.text or not block.runs
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "videohub").rglob("*.py")))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # strings on several lines
    warnings = re.findall(r"^\| `([^`]+)` \|", page, flags=re.MULTILINE)
    assert len(warnings) > 5
    assert [part for warning in warnings for part in warning.split("…") if part.strip() not in code] == []


def test_every_page_of_the_index_is_there():
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\((\w+)\.md\)", index)) == GUIDES


def test_blocks_know_their_language_whether_they_run_and_where_they_stand():
    page = "# A\n\n```sh\none\n```\n\n```python no-run\ntwo\n```\n```text\nthree\n```\n"
    assert blocks(page) == [Block("sh", True, "one\n", 4), Block("python", False, "two\n", 8)]
    assert blocks("```sh\none\n```\n\n```text\ntwo\n```\n") == [Block("sh", True, "one\n", 2, "two\n")]


def test_what_is_shown_may_leave_out_and_break_lines_and_nothing_else():
    assert prints("a b\nc d e f", "b … d\ne")
    assert not prints("a b c d", "b … x")
    assert not prints("a b.c", "b c")
