"""The file that a record's publisher offers, made here: its container, its layout, its network's own sizes.

Where the original's network is a golden case, the keys and shapes are the original's and the weights golden. Else both
come from our table, read from right to left, and the weights from their names alone: of a network that nobody here has
a key list of, such a file shows that table and network agree, and not that the publisher spells its keys so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from tests.models.golden_networks import CASES, GoldenCase
from videohub.building import build_empty
from videohub.convert import caffe2_pickle, conversion, kept_weights, steps, tables
from videohub.convert.tables import Table
from videohub.models import VideoModel
from videohub.registry.schema import Record

PREFIXES = {"pyslowfast_ptv": "model."}  # before every key of a publisher's files, as the registry tells


@dataclass(frozen=True)
class PublishedFile:
    """What is in a file, by its keys there, and what a network of ours must have of it, by our names."""

    tensors: dict[str, Tensor]
    golden: str | None  # the case whose weights they are
    expected: Callable[[str], Tensor]


def published_file(record: Record) -> PublishedFile:
    """Return what the file of a record holds, with what training leaves beside the network. Raises: ConversionError."""
    arguments, ours = conversion.arguments_of(record), build_empty(record)
    table = as_published(record)
    case = golden_case(record, ours)
    made = _made_up(ours, table, arguments) if case is None else _golden(case, table.layout)
    left_by_training = {pattern.replace("*", "left_by_training"): torch.ones(2) for pattern in table.file.ignore}
    prefix = PREFIXES.get(record.publisher or "", "")
    tensors = {f"{prefix}{key}": tensor for key, tensor in {**left_by_training, **made.tensors}.items()}
    return PublishedFile(tensors, made.golden, made.expected)


def golden_case(record: Record, ours: VideoModel) -> GoldenCase | None:
    """Return a golden case whose tensors are those of a record's network, and spelt, or to be spelt, as its file's.

    One of another head or clip will do, which have no tensors; one of the very network comes first.
    """
    layout = "pyslowfast" if record.checkpoint.layout == "caffe2" else record.checkpoint.layout
    if layout not in tables.layouts(record.family):
        return None
    arguments = conversion.arguments_of(record)
    table = tables.find(record.family, layout).of(arguments)
    parameters, shapes = sum(each.numel() for each in ours.parameters()), _shapes(ours.state_dict())
    return next((case for case in sorted(CASES.values(), key=lambda case: case.arguments != arguments)
                 if case.facts["architecture"]["num_parameters"] == parameters and case.layout == layout
                 and case.table == table and _shapes(case.state(case.numbered_file())) == shapes), None)  # fmt: skip


def as_published(record: Record) -> Table:
    """Return the table of a record's file, also where its publisher has networks that are not written for others."""
    table = tables.find(record.family, record.checkpoint.layout).of(conversion.arguments_of(record))
    return replace(table, file=msgspec.structs.replace(table.file, not_written_for=[]))


def write(tensors: Mapping[str, Tensor], record: Record, path: Path, beside: Sequence[Path] = ()) -> None:
    """Write a file in the container that the record states; of one of several parts, the first goes `beside` it."""
    table = tables.find(record.family, record.checkpoint.layout)
    under = table.file.written_as.under
    if table.file.parts:
        whole = table.in_parts(tensors)
        for place, part in zip(beside, list(whole), strict=False):
            place.parent.mkdir(parents=True, exist_ok=True)
            torch.save({part: whole.pop(part)}, place)
        torch.save(whole, path)
        return
    arrays = {key: tensor.numpy() for key, tensor in tensors.items()}
    match container_of(record):
        case "caffe2":
            caffe2_pickle.write(path, arrays)
        case "safetensors":
            kept_weights.write_safetensors(path, arrays, {"format": "pt"})
        case "npz":
            np.savez(path.open("wb"), **arrays)
        case "torch" | "torch_legacy" as container:
            content = {under: dict(tensors)} if under else dict(tensors)
            if table.file.parts:
                content = table.in_parts(tensors)
            torch.save(content, path, _use_new_zipfile_serialization=container == "torch")


def container_of(record: Record) -> str:
    """Return the container that a record states, or, where nobody has seen its file, that of the layout's files."""
    table = tables.find(record.family, record.checkpoint.layout)
    return record.checkpoint.container or table.file.written_as.container


def _golden(case: GoldenCase, layout: str) -> PublishedFile:
    """Return the golden weights; a case of PySlowFast's says what Caffe2 calls each of its tensors, too."""
    counts = "num_batches_tracked"
    file = {key: array.astype(np.int64) if key.endswith(counts) else array for key, array in case.golden_file().items()}
    state = case.state(file)
    if layout == case.layout:
        computed = {name: steps.made(how, array.shape, case.arguments) for key, array in file.items()
                    for how, name in case.table.computed_beside(key)}  # fmt: skip
        named = {**file, **computed}
    else:
        blobs = {key: blob for key, _, blob in case.facts["tensors"]}
        named = {blobs[key]: array for key, array in file.items() if blobs[key]}
    tensors = {key: torch.from_numpy(np.asarray(array)) for key, array in named.items()}
    return PublishedFile(tensors, case.name, state.__getitem__)


def _made_up(network: VideoModel, table: Table, arguments: Mapping[str, Any]) -> PublishedFile:
    """Return weights made from our names; what such a file has no place for is as the table says that it is."""
    ours = network.state_dict()
    lacking = {name for name, match in table.matches(ours, to_ours=False).items() if not match}
    there = {name: _weight(name, tensor) for name, tensor in ours.items() if name not in lacking}
    fills = steps.fills(there, table, arguments, unused=False)
    filled = {name: torch.from_numpy(array) for name, array in fills.items() if name in lacking}
    written = replace(table, file=msgspec.structs.replace(table.file, not_written_for=[]))  # with what training left
    tensors = conversion.to_published({**there, **filled}, written, arguments)

    def expected(name: str) -> Tensor:  # made anew, so that a large network need not be here twice
        return filled[name] if name in filled else _weight(name, ours[name])

    return PublishedFile(tensors, None, expected)


def _weight(name: str, like: Tensor) -> Tensor:
    """Return a tensor that follows from its name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if like.is_floating_point():
        return torch.rand(like.shape, generator=generator)
    return torch.randint(1000, like.shape, generator=generator, dtype=like.dtype)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
