"""The names that a table gives to keys, as lists: one name is right, and a test sees whether there are others."""

from __future__ import annotations

from collections.abc import Iterable

from videohub.convert.tables import Table


def to_ours(table: Table, keys: Iterable[str]) -> dict[str, list[str]]:
    """Return, for each key of a file, the names in our networks that the rules give it."""
    return _names(table, keys, to_ours=True)


def to_published(table: Table, keys: Iterable[str]) -> dict[str, list[str]]:
    """Return, for each of our keys, the names in a file that the rules give it."""
    return _names(table, keys, to_ours=False)


def _names(table: Table, keys: Iterable[str], *, to_ours: bool) -> dict[str, list[str]]:
    matches = table.matches(keys, to_ours=to_ours)
    return {key: [name for match in result for name in match.names] for key, result in matches.items()}
