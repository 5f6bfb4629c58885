"""The notebooks run as a reader would run them, and show what is kept of them.

A cell tagged `varies` trains: its numbers are other ones on another processor, and only its words are compared.
"""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

nbformat = pytest.importorskip("nbformat")  # not among what users install

from nbformat import NotebookNode  # noqa: E402

from tools import notebooks  # noqa: E402
from tools.site import notebooks as site  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
NAMES = notebooks.names()
PATHS = re.compile(r"(?<![\w.:/])(?:/(?:home|root|tmp|work|Users|usr|var)/|[A-Z]:\\)")


def code_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def words_of(cell: NotebookNode) -> list[tuple[str, str]]:
    """What a cell says, and where; of one that varies without its numbers."""
    words = [(output.get("name", ""), notebooks.text_of(output)) for output in cell.outputs]
    if "varies" in cell.metadata.get("tags", ()):
        words = [(name, re.sub(r"[\d.]+ *", "#", text)) for name, text in words]
    return words


def pictures_of(cell: NotebookNode) -> list[Image.Image]:
    encoded = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return [Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB") for picture in encoded]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",  # the others train and test for minutes, with what the guides' tests do, too
    [name if name == "load_and_predict" else pytest.param(name, marks=pytest.mark.by_hand) for name in NAMES],
)
def test_a_notebook_runs_without_a_connection_and_shows_what_is_kept(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = notebooks.run(name, tmp_path)
    for cell, kept in zip(code_of(made), code_of(notebooks.read(name)), strict=True):
        assert words_of(cell) == words_of(kept), cell.id
        assert len(pictures_of(cell)) == len(pictures_of(kept)), cell.id
        assert all(len(picture.getcolors(1 << 24)) > 16 for picture in pictures_of(cell)), cell.id


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_whole_with_its_pictures_and_nothing_of_the_machine(name):
    path = notebooks.FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 300_000
    assert not PATHS.search(re.sub(r'"image/png": ".*"', "", path.read_text(encoding="utf-8")))
    notebook = notebooks.read(name)
    nbformat.validate(notebook)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.output_type for cell in cells for output in cell.outputs} <= {"stream", "display_data"}
    assert sum(len(pictures_of(cell)) for cell in cells) >= 2
    for cell in cells:
        assert set(cell.metadata) <= {"alt", "tags"}
        for picture in pictures_of(cell):
            assert len(cell.metadata.alt) > 30
            assert min(picture.size) > 80
            assert len(picture.getcolors(1 << 24)) > 16


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_a_page_of_the_site_with_all_that_it_holds(name):
    pages = dict(site.pages(None))
    page, notebook = pages[f"notebooks/{name}.md"], notebooks.read(name)
    assert f"notebooks/{name}.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == sum(len(pictures_of(cell)) for cell in code_of(notebook))
    for cell in code_of(notebook):
        assert f"```python\n{cell.source}\n```" in page
        assert all(notebooks.text_of(output).rstrip("\n") in page for output in cell.outputs)
    links = re.findall(r"\]\((\S+\.(?:md|ipynb))\)", page)
    assert len(links) > 3
    assert [link for link in links if not (notebooks.FOLDER / link).is_file()] == []


def test_a_page_has_the_file_below_its_opening_code_words_and_pictures():
    cells = [
        {"cell_type": "markdown", "source": ["# One\n", "\n", "See [two](two.ipynb)."]},
        {
            "cell_type": "code",
            "id": "a",
            "metadata": {},
            "source": "print('```')",
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["```\n"]}],
        },
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {"alt": 'a "dot"', "tags": ["drawing"]},
            "source": "dot()",
            "outputs": [{"output_type": "display_data", "data": {"image/png": "iVBO\n"}}],
        },
    ]
    lines = [line for line in site.page({"cells": cells}, "one.ipynb").splitlines() if line]
    assert lines == [
        "# One",
        "See [two](two.ipynb).",
        "[Download this notebook](one.ipynb){.md-button}",
        "````python",
        "print('```')",
        "````",
        "```` {.text .shown}",
        "```",
        "````",
        '<details markdown="1">',
        "<summary>The code of the picture</summary>",
        "```python",
        "dot()",
        "```",
        "</details>",
        '<p><img class="picture" alt="a &quot;dot&quot;" src="data:image/png;base64,iVBO"></p>',
    ]


def test_links_to_notebooks_lead_to_their_pages_and_the_button_to_the_file():
    text = "[a](../notebooks/a.ipynb), [b](b.ipynb), [c](c.md), [d](https://host/d.ipynb) and [e](e.ipynb){.md-button}"
    assert site.relink(text) == (
        "[a](../notebooks/a.md), [b](b.md), [c](c.md), [d](https://host/d.ipynb) and [e](e.ipynb){.md-button}"
    )


def test_an_output_that_has_no_place_on_a_page_is_refused():
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "", "outputs": [{"data": {"text/html": "<b>"}}]}
    with pytest.raises(ValueError, match=r"cell a: found an output of \['text/html'\], expected text or a picture"):
        site.page({"cells": [{"cell_type": "markdown", "source": "# One"}, cell]}, "one.ipynb")


def test_what_shows_a_path_of_the_machine_is_not_kept(tmp_path, monkeypatch):
    """The notebook is one of the test's own, which prints where it runs."""
    cells = [nbformat.v4.new_code_cell("import os; print(os.getcwd())", id="where")]
    (tmp_path / "where.ipynb").write_text(json.dumps(nbformat.v4.new_notebook(cells=cells)))
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    (folder := tmp_path / "runs").mkdir()
    with pytest.raises(ValueError, match="cell where: found a path of this machine"):
        notebooks.run("where", folder)
