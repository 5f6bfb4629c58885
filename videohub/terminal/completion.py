"""What the shell offers for a name that is begun: records, data sets, architectures. Nothing heavy is imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import click

from videohub import registry, resources
from videohub.errors import VideohubError
from videohub.registry import lookup
from videohub.registry.lookup import Entry

_Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[str]]
_Names: TypeAlias = Callable[[Mapping[str, Entry]], Iterable[str]]
_WORD = r"[\w.-]+"  # what no shell takes for anything else


def _of(names: _Names) -> _Complete:
    """Return what completes a word to one of `names` of the registry's records: in the case as typed, else in any."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
        try:
            return _beginning(begun, names(_known(context).entries))
        except VideohubError:  # the verb itself will tell; here, nobody would read it
            return []

    return complete


def _known(context: click.Context) -> registry.Registry:
    return registry.default(context.find_root().params.get("registries") or (), keep=True)


def _beginning(begun: str, names: Iterable[str]) -> list[str]:
    known = [name for name in dict.fromkeys(names) if re.fullmatch(_WORD, name)]
    as_typed = [name for name in known if name.startswith(begun)]
    return as_typed or [name for name in known if name.casefold().startswith(begun.casefold())]


def _all_names(entries: Mapping[str, Entry]) -> Iterable[str]:
    aliases = (alias for entry in entries.values() for alias in entry.aliases)
    return [*entries, *aliases, *(entry.upstream_name for entry in entries.values())]


record = _of(_all_names)
dataset, arch, depth, status, publisher, task = (
    _of(lambda entries, field=field: lookup.values(entries.values(), field))  # type: ignore[misc]
    for field in ("dataset", "arch", "depth", "status", "publisher", "task")
)


def layout(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Complete a layout to write: one of the network's that `--model` names before it, of any network without."""
    try:
        known = _known(context)
        if (model := context.params.get("model")) is None:
            layouts = sorted({layout for _, layout in resources.tables(registry.files())})
        else:
            from videohub.convert import tables

            named = known.find(model)
            layouts = tables.writable(named.family, tables.arguments_of(named))
        return _beginning(begun, ["videohub", *layouts])
    except VideohubError:
        return []
