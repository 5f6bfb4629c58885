"""Registry files of a user's own, with records like ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from videohub import registry, resources
from videohub.registry import writer


def like(name: str, /, **changes: Any) -> registry.Record:
    """One of our records with other fields."""
    return msgspec.structs.replace(registry.load(resources.registry_file()).records[name], **changes)


def write_registry(file: Path, *records: registry.Record) -> str:
    """Write a registry file of these records, whose protocols are ours unless their names are others; its text."""
    text = writer.text(records, known=registry.load(resources.registry_file()).protocols)
    file.write_text(text, encoding="utf-8")
    return text
