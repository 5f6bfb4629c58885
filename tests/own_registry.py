"""Registry files of a user's own, with records like ours."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec

from videohub import registry, resources
from videohub.registry import writer


@functools.cache
def ours() -> registry.Registry:
    """Our own registry, read once for all tests that change nothing in it."""
    return registry.load(resources.registry_file())


def like(name: str, /, **changes: Any) -> registry.Record:
    """One of our records with other fields."""
    return msgspec.structs.replace(ours().records[name], **changes)


def write_registry(file: Path, *records: registry.Record) -> str:
    """Write a registry file of these records, whose protocols are ours unless their names are others; its text."""
    text = writer.text(records, known=ours().protocols)
    file.write_text(text, encoding="utf-8")
    return text
