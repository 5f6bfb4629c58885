"""The reference of the library: a page for each thing that it is used for, made of the public names' docstrings."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence

import videohub
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


def pages(_: Registry) -> Iterator[tuple[str, str]]:
    """Yield a page for each topic, then one for each public module."""
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


def names_of(module: str) -> Sequence[str]:
    """Return the public names of a module of videohub's: those of `__all__`, else the classes that it defines."""
    found = importlib.import_module(f"videohub.{module}")
    own = [name for name, value in vars(found).items() if getattr(value, "__module__", None) == found.__name__]
    return getattr(found, "__all__", own)


def page(title: str, intro: str, homes: Mapping[str, str]) -> str:
    """Return a page that has each name's docstring, taken from where it is defined."""
    lines = [f"# {title}", "", intro, ""]
    for name, home in homes.items():
        options = json.dumps({"heading": name, "toc_label": name.rpartition(".")[2], "heading_level": 2})
        lines += [f"::: {home}", f"    options: {options}", ""]
    return "\n".join(lines)
