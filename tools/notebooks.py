"""Run the notebooks of docs/notebooks and keep what they show: `python tools/notebooks.py [NAME …]`.

Each runs in a folder of its own, without a connection and with a cache of its own. What is kept is the same after each
run on one machine: no times, no paths of the machine, and pictures without a word of what drew them.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "notebooks"
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# `alt`: what a picture shows, for whoever does not see it. Tags: `drawing`, whose code the site folds; `varies`, whose
# numbers are other ones on other machines.
_CELL_METADATA = ("alt", "tags")
_ORDER = ("stderr", "stdout", None)  # which of both comes first is chance; a line of the log comes before what follows
_BAR = re.compile(r"^.*\d%\|.*\n?", re.MULTILINE)  # tqdm's, of progress


def main() -> None:
    """Run the notebooks that are named, or all, and write each anew."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("names", nargs="*", default=names(), metavar="NAME")
    for name in options.parse_args().names:
        with tempfile.TemporaryDirectory() as folder:
            made = run(name, Path(folder))
        (FOLDER / f"{name}.ipynb").write_text(nbformat.writes(made) + "\n", encoding="utf-8")
        print(f"docs/notebooks/{name}.ipynb")


def names() -> list[str]:
    """Return what the notebooks are called."""
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name: str) -> NotebookNode:
    """Return a notebook as it is kept."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def run(name: str, folder: Path) -> NotebookNode:
    """Return a notebook with what it shows when it is run in an empty folder, as it would be kept.

    Raises: nbclient.exceptions.CellExecutionError where a cell fails; ValueError if it shows a path of this machine.
    """
    notebook = read(name)
    for cell in notebook.cells:
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in _CELL_METADATA if key in cell.metadata})
    (work := folder / "work").mkdir()
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(work)}},
    )
    ours = {"VIDEOHUB_HOME": "cache", "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}
    plain = {key: value for key, value in os.environ.items() if key not in ("MPLBACKEND", "VIDEOHUB_REGISTRY")}
    client.execute(env=plain | {key: str(folder / value) for key, value in ours.items()} | {"VIDEOHUB_OFFLINE": "1"})
    notebook.metadata = NotebookNode(_METADATA)
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        for output in cell.outputs:
            if "text" in output:
                output.text = _BAR.sub("", output.text)
            _refuse_paths(text_of(output), cell.id, (folder, ROOT, Path.home()))
            if "image/png" in output.get("data", {}):
                output.data = NotebookNode({"image/png": _small_png(output.data["image/png"])})
        shown = (output for output in cell.outputs if output.get("text") != "")
        cell.outputs = sorted(shown, key=lambda output: _ORDER.index(output.get("name")))
    nbformat.validate(notebook)
    return notebook


def text_of(output: NotebookNode) -> str:
    """Return what an output says in words."""
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def _refuse_paths(text: str, cell: str, folders: tuple[Path, ...]) -> None:
    """Refuse an output that would be another one elsewhere."""
    for folder in folders:
        if str(folder) in text:
            raise ValueError(f"cell {cell}: found a path of this machine, {folder}, in what it shows")


def _small_png(encoded: str) -> str:
    """Return a PNG in base64 of 256 colours, a third of the size, with its pixels alone."""
    packed = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        plain = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    plain.save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


if __name__ == "__main__":
    main()
