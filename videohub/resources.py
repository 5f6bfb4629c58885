"""Where data lie: those that travel with the code (`_data/` in a wheel, one folder up in a checkout), and the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from videohub.errors import CacheError

_HERE = Path(__file__).resolve().parent
_FOLDERS = (_HERE / "_data", _HERE.parent)


def path(name: str) -> Path:
    """Return the file or folder `name` of the package's data, such as `registry.yaml` or `converters`.

    Raises: FileNotFoundError if the installation lacks it.
    """
    for folder in _FOLDERS:
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"videohub: {name} is neither in {' nor in '.join(map(str, _FOLDERS))}; reinstall videohub")


def registry_file() -> Path:
    """Return our own `registry.yaml`."""
    return path("registry.yaml")


def datasets_file() -> Path:
    """Return what is known of each data set, `datasets.yaml`."""
    return path("datasets.yaml")


def labels_file() -> Path:
    """Return the class names that no library ships, `labels.yaml`."""
    return path("labels.yaml")


def costs_file() -> Path:
    """Return what was counted of networks, `costs.json`."""
    return path("costs.json")


def tables_folders(registries: Iterable[Path] = ()) -> list[Path]:
    """Return the folders of key tables: our own, `converters`, and those so called beside registries of a user's."""
    beside = [file.parent / "converters" for file in registries if file != registry_file()]
    return list(dict.fromkeys([path("converters"), *(folder.resolve() for folder in beside if folder.is_dir())]))


def tables(registries: Iterable[Path] = (), family: str = "*") -> dict[tuple[str, str], list[Path]]:
    """Return the files of key tables by family of networks and layout of keys; two where somebody repeats one.

    Of one `family`, where it is named.
    """
    files: dict[tuple[str, str], list[Path]] = {}
    for folder in tables_folders(registries):
        for file in folder.glob(f"{family}/*.yaml"):
            files.setdefault((file.parent.name, file.stem), []).append(file)
    return files


def cache_home() -> Path:
    """Return the folder of the cache: `VIDEOHUB_HOME`, else `videohub` in the XDG cache folder.

    Raises: CacheError if it is named by a home that nobody has.
    """
    if named := os.environ.get("VIDEOHUB_HOME"):
        return expanded(named)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "videohub"


def expanded(text: str) -> Path:
    """Return the path that a variable of the environment names. Raises: CacheError."""
    try:
        return Path(os.path.expandvars(text)).expanduser().absolute()
    except RuntimeError as error:  # no HOME, and a user whom the machine does not know
        raise CacheError(f"{text}: {error}; name a folder for the cache with VIDEOHUB_HOME") from error
