"""Where the data that travels with the code lie: beside this file in a wheel, one folder up in a checkout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """Return the file or folder `name` of the package's data, such as `registry.yaml` or `converters`.

    Raises: FileNotFoundError if the installation lacks it.
    """
    for folder in (_HERE, _HERE.parent):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"videohub: {name} is neither in {_HERE} nor in {_HERE.parent}; reinstall videohub")


def registry_file() -> Path:
    """Return our own `registry.yaml`."""
    return path("registry.yaml")


def labels_file() -> Path:
    """Return the class names that no library ships, `labels.yaml`."""
    return path("labels.yaml")


def tables_folders(registries: Iterable[Path] = ()) -> list[Path]:
    """Return the folders of key tables: our own, `converters`, and those so called beside registries of a user's."""
    beside = [file.parent / "converters" for file in registries if file != registry_file()]
    return list(dict.fromkeys([path("converters"), *(folder.resolve() for folder in beside if folder.is_dir())]))
