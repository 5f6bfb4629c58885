"""The site's pages of the notebooks: what they tell, their code, and what it showed when they were last run."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videohub.registry import Registry

_FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"


def pages(_: Registry) -> Iterator[tuple[str, str]]:
    """Yield the path of each notebook's page and its text; mkdocs puts the notebook itself beside it."""
    for path in sorted(_FOLDER.glob("*.ipynb")):
        yield f"notebooks/{path.stem}.md", page(json.loads(path.read_text(encoding="utf-8")), path.name)


def page(notebook: dict[str, Any], file: str) -> str:
    """Return a notebook as Markdown, with a link to its file below the title.

    Raises: ValueError for an output that has no place on a page, such as HTML.
    """
    first, *others = notebook["cells"]
    title, _, opening = "".join(first["source"]).partition("\n")
    blocks = [title, opening.strip(), f"[Download this notebook]({file}){{.md-button}}"]
    for cell in others:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(source)
            continue
        code = _fenced(source, "python")
        folded = "drawing" in cell["metadata"].get("tags", ())
        blocks.append(_FOLDED.format(code) if folded else code)
        blocks += [_shown(output, cell) for output in cell["outputs"]]
    return "\n\n".join(blocks) + "\n"


def relink(text: str) -> str:
    """Return a page's text with links that lead to the notebooks' pages; a button leads to the file itself."""
    return _LINK.sub(r"](\1.md)", text)


_FOLDED = """\
<details markdown="1">
<summary>The code of the picture</summary>

{}

</details>"""
_LINK = re.compile(r"\]\(((?:[\w./-]*/)?\w+)\.ipynb\)(?!\{)")


def _shown(output: dict[str, Any], cell: dict[str, Any]) -> str:
    """Return what a cell showed."""
    data = output.get("data", {})
    if "image/png" in data:
        words = html.escape(cell["metadata"].get("alt", ""))
        encoded = "".join(data["image/png"]).replace("\n", "")
        return f'<p><img class="picture" alt="{words}" src="data:image/png;base64,{encoded}"></p>'
    text = output.get("text", data.get("text/plain"))
    if text is None or set(data) - {"text/plain"}:
        raise ValueError(f"cell {cell['id']}: found an output of {sorted(data)}, expected text or a picture in PNG")
    return _fenced("".join(text).rstrip("\n"), " {.text .shown}")


def _fenced(text: str, language: str) -> str:
    """Return a block of code, whatever fences it holds."""
    fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
