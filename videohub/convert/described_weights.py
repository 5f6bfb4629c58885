"""What stands beside weights in the layout of the library transformers, so that it builds and feeds their network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from videohub.errors import UsageError
from videohub.log import log
from videohub.registry import transformers_config, transformers_kinds, transformers_pixels
from videohub.registry.labels import names
from videohub.registry.schema import Record

WEIGHTS = "model.safetensors"


def weights_at(path: Path) -> Path:
    """Return the file of weights that a path names: it is of a folder unless it ends as files do."""
    return path / WEIGHTS if path.is_dir() or not path.suffix else path


def beside(file: Path, record: Record) -> dict[Path, bytes]:
    """Return the files that belong beside weights of a record, and what is to stand in them.

    Raises: UsageError if one is there that says otherwise; ConversionError if the library has no such network.
    """
    config = transformers_config.written(record.model, record.clip.frames, names(record.labels))
    said: dict[str, Any] = {transformers_config.NAME: config}
    processor = transformers_kinds.KINDS[config["model_type"]].processor
    file_of_pixels = transformers_pixels.file_of(processor)
    if pixels := transformers_pixels.written(record.protocol, processor):
        said[file_of_pixels] = pixels
    else:
        log.warning("%s: wrote no %s: transformers has no such steps as those of protocol %s", record.name,
                    file_of_pixels, record.protocol.name)  # fmt: skip
    contents = {file.parent / name: json.dumps(each, indent=2, ensure_ascii=False).encode() + b"\n"
                for name, each in said.items()}  # fmt: skip
    for place, content in contents.items():
        if place.exists() and not (place.is_file() and place.read_bytes() == content):
            raise UsageError(
                f"{place}: is there already and says otherwise; expected a folder for this network alone.\n"
                "  Give another one, or remove the file."
            )
    return contents
