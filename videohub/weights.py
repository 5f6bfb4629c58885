"""From a record to proved weights: bring the file here, read it, rename it, compare it with the network, keep it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import videohub
from videohub import registry
from videohub.building import build
from videohub.convert import tables
from videohub.convert.renaming import table_for, to_state_dict
from videohub.convert.tables import shapes
from videohub.errors import ConversionError, UnavailableError
from videohub.files import written_whole
from videohub.hub import cache, download
from videohub.registry.schema import Record

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger("videohub")
_CONVERTER = 1  # raised when the same tables and the same file would give other weights


@dataclass(frozen=True)
class Converted:
    """A file that was written, and what it was made from."""

    out: str
    record: str
    tensors: int
    described: str  # the kind of file read, such as "caffe2 in tar in gzip"
    source_sha256: str


def fetch(name: str | Record, *, checkpoint: str | Path | None = None, ignore: Sequence[str] = ()) -> Path:
    """Return the record's weights as a .safetensors file in the cache, converted and proved if they were not yet.

    Args:
        name: A record, its id or its upstream name.
        checkpoint: A local copy of the published file, instead of the record's URL.
        ignore: Patterns of published keys to leave aside knowingly.
    Raises: UnavailableError, DownloadError, FormatError, ConversionError.
    """
    record = registry.record(name)
    source = _source(record, checkpoint)
    path = cache.converted_file(source.sha256, _recipe(record, ignore))
    if not path.is_file():
        _convert(source, record, path, family="videohub", ignore=ignore)
    return path


def convert_file(
    file: str | Path, name: str | Record, out: str | Path, *, family: str = "videohub", ignore: Sequence[str] = ()
) -> Converted:
    """Read a checkpoint file of any known kind, prove that it is the record's network, write it as another kind.

    Args:
        file: Published, converted or exported weights.
        name: The record whose network the file holds.
        out: The file to write, whole or not at all.
        family: "videohub" for .safetensors under our names, "caffe2" or "pyslowfast" for theirs.
        ignore: Patterns of published keys to leave aside knowingly.
    Raises: UsageError, FormatError, ConversionError.
    """
    record = registry.record(name)
    source = download.local(Path(file), name=record.name)
    return _convert(source, record, Path(out), family=family, ignore=ignore)


def prove(state: dict[str, Tensor], record: Record) -> None:
    """Check that tensors under our names are the record's network, one to one; fill in what files never hold.

    Raises: ConversionError that lists missing and unknown keys and every shape that differs.
    """
    import torch

    with torch.device("meta"):
        expected = build(record).state_dict()
    for key, tensor in expected.items():
        if key not in state and key.endswith("num_batches_tracked"):
            state[key] = torch.zeros(tensor.shape, dtype=tensor.dtype)
    problems = []
    if missing := [key for key in expected if key not in state]:
        problems.append(f"  missing from the file, {len(missing)} of {len(expected)}:\n{shapes(expected, missing)}")
    if unknown := [key for key in state if key not in expected]:
        problems.append(f"  in the file, not in the network:\n{shapes(state, unknown)}")
    different = [key for key in expected if key in state and expected[key].shape != state[key].shape]
    if different:
        problems.append(
            f"  of another shape in the file:\n{shapes(state, different)}\n  expected:\n{shapes(expected, different)}"
        )
    if problems:
        raise ConversionError(f"{record.name}: the file does not hold this network:\n" + "\n".join(problems))


def _convert(source: download.Fetched, record: Record, out: Path, *, family: str, ignore: Sequence[str]) -> Converted:
    """Read, prove and write; the checkpoint's arrays are the state's, so that nothing is held twice."""
    from safetensors.torch import save_file

    from videohub.convert.exporting import export
    from videohub.convert.reading import read

    checkpoint = read(source.path)
    state = to_state_dict(checkpoint, record, ignore=ignore)
    prove(state, record)
    described = " in ".join([checkpoint.container, *reversed(checkpoint.wrapping)])
    expected = record.checkpoint.container
    if checkpoint.family != "videohub" and expected not in (None, checkpoint.container):
        _log.warning("%s: the file is %s, not %s as recorded; every tensor fits", record.name, described, expected)
    if family == "videohub":
        header = {
            "format": "pt",
            "videohub": videohub.__version__,
            "record": msgspec.json.encode(record).decode(),
            "labels": record.labels,
            "source": source.path.name,
            "source_sha256": source.sha256,
            "source_kind": described,
            "table": "" if checkpoint.family == "videohub" else table_for(record, checkpoint.family).digest,
        }
        with written_whole(out) as part:
            save_file(state, part, metadata=header)
    else:
        export(state, record, family, out)
    return Converted(str(out), record.name, len(state), described, source.sha256)


def _source(record: Record, checkpoint: str | Path | None) -> download.Fetched:
    if checkpoint is not None:
        return download.local(Path(checkpoint), name=record.name)
    published = record.checkpoint
    if published.url is None:
        raise UnavailableError(
            f"{record.name}: {record.zoo_name} was never released; what replaces it upstream: "
            f"{', '.join(record.superseded_by)}. A copy of your own goes in with --checkpoint."
        )
    if record.status == "broken":
        notes = "\n  ".join(record.notes)
        raise UnavailableError(
            f"{record.name}: the published file is reported to be broken:\n  {notes}\n"
            f"  To see for yourself, download {published.url} and pass it with --checkpoint."
        )
    return download.fetch(published.url, name=record.name, sha256=published.sha256, size=published.size)


def _recipe(record: Record, ignore: Sequence[str]) -> str:
    """Return a digest of all that decides how a file becomes weights."""
    layout = tables.load(record.checkpoint.table).layout
    digests = [tables.load(name).digest for name in tables.names() if tables.load(name).layout == layout]
    parts = [_CONVERTER, msgspec.json.encode(record).decode(), digests, sorted(ignore)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
