"""Names both ways: a published file's tensors under our names, and ours in a file of another layout."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from videohub import registry
from videohub.convert import caffe2_pickle, tables
from videohub.convert.checkpoint import Listing
from videohub.convert.recognition import OURS, Recognised, recognise
from videohub.convert.split_norms import joined
from videohub.convert.stored_tensor import StoredTensor
from videohub.convert.tables import MOST, Table, shapes
from videohub.errors import ConversionError, UsageError
from videohub.escaping import brief, visible
from videohub.files import atomic_write, check_parent_exists
from videohub.log import log
from videohub.registry.schema import Record

if TYPE_CHECKING:
    from torch import Tensor


_KERNEL = re.compile(r"\.(conv\w*|theta|phi|g|out)\.weight$")


def recognised(checkpoint: Listing, record: Record, *, ignore: Sequence[str] = ()) -> Recognised:
    """Return how the keys of a checkpoint of a record's network are spelt.

    Raises: ConversionError if nothing that reads this family of networks knows any key.
    """
    found = recognise(_kept(checkpoint.tensors, ignore), record.family)
    if found is None:
        raise ConversionError(
            f"{record.name}: {checkpoint.source}: these keys belong to no layout that videohub knows:\n"
            + shapes(checkpoint.tensors, checkpoint.tensors)
        )
    return found


def to_state_dict(checkpoint: Listing, record: str | Record, *, ignore: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return the checkpoint's tensors under our names; `renamed` says how they are named.

    Raises: ConversionError, as `renamed`.
    """
    import torch

    arrays = renamed(checkpoint, record, ignore=ignore)
    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}


def renamed(
    checkpoint: Listing, record: str | Record, *, ignore: Sequence[str] = ()
) -> dict[str, StoredTensor | np.ndarray]:
    """Return the checkpoint's arrays under our names, which they may have already; what lies in a file still does.

    Every key is matched whole by exactly one rule, or named by the table's `ignore` or by a pattern of `ignore`. What
    all the others begin with, such as `module.`, is taken off, and told. Kernels get back the unit dimensions that the
    file left out, and batch norms the batch count (zero) where the table says that such files may lack it; split batch
    norms become one; nothing else changes shape or value.

    Raises: ConversionError that lists the keys and shapes which no rule, two rules or one name twice claim.
    """
    record = registry.record(record)
    if checkpoint.is_converted:
        _check_record(checkpoint, record)
    tensors = joined(checkpoint.tensors)
    found = recognised(checkpoint, record, ignore=ignore)
    where = f"{record.name}: {checkpoint.source}: {found.table.name if found.layout != OURS else 'our own names'}"
    wanted = [key for key in _kept(tensors, ignore) if found.ignored(key) is None]
    names = _one_to_one(found.names(wanted), tensors, where, found)
    if others := checkpoint.meta.get("other_networks"):
        log.warning("%s: took %s of %s, which also holds %s: to have that, save it alone", record.name,
                    checkpoint.meta["found_under"], checkpoint.source, ", ".join(others))  # fmt: skip
    if found.prefix:
        log.warning("%s: took %s off all keys of %s", record.name, found.prefix[:200], checkpoint.source)
    state: dict[str, StoredTensor | np.ndarray] = {}
    for key, name in names.items():
        array = tensors[key]
        if found.layout != OURS:
            array = array.reshape(_with_units(name, array.shape, found.table))
        if name.endswith("num_batches_tracked") and not array.shape:  # halved with all the rest, it may be infinite
            array = np.asarray(np.nan_to_num(np.asarray(array), nan=0, posinf=0, neginf=0), np.int64)
        state[name] = array
    for name in [name for name in state if name.endswith(".running_mean")]:
        count = name.removesuffix("running_mean") + "num_batches_tracked"
        if found.table.is_absent(count):
            state.setdefault(count, np.zeros((), np.int64))
    return state


def to_published(state: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """Return our tensors under the names of the table's layout; what that has no name for is left out.

    Raises: ConversionError that lists the keys that the table cannot name.
    """
    found = table.to_published(state)
    nameable = {key: names for key, names in found.items() if names or not table.is_absent(key)}
    return {name: state[key] for key, name in _one_to_one(nameable, state, table.name).items()}


def _kept(keys: Collection[str], ignore: Sequence[str]) -> list[str]:
    """Return the keys that no pattern leaves aside."""
    return [key for key in keys if not any(fnmatchcase(key, pattern) for pattern in ignore)]


def _check_record(checkpoint: Listing, record: Record) -> None:
    """Refuse converted weights that say that they are another record's, or do not say whose they are."""
    try:
        holds = json.loads(checkpoint.meta.get("record", "")).get("name")
    except (ValueError, AttributeError, RecursionError):
        holds = None
    if holds != record.name:
        whose = brief(holds) if isinstance(holds, str) else "an unknown record"
        raise ConversionError(f"{record.name}: {checkpoint.source} holds converted weights of {whose}")


def _one_to_one(
    found: Mapping[str, Sequence[str]], tensors: Mapping[str, object], where: str, file: Recognised | None = None
) -> dict[str, str]:
    """Return key → name, or refuse with every key that has no name, several names, or a name already given."""
    problems = []
    if nameless := [key for key, names in found.items() if not names]:
        behind = f"; the others begin with {visible(file.prefix)[:200]}" if file and file.prefix else ""
        problems.append(
            f"  no rule knows {len(nameless)} of {len(found)} keys{behind} (`videohub convert --ignore PATTERN` leaves "
            f"keys aside):\n{shapes(tensors, nameless)}"
        )
        if _is_folded(nameless, found):
            problems.append(
                "  This is a network of videohub.optimize: batch norms have become part of the convolutions, and "
                "nothing\n  takes them apart again. Save the state dict of the model that was optimised."
            )
    if doubled := [key for key, names in found.items() if len(names) > 1]:
        problems.append(f"  {len(doubled)} keys match two rules:\n" + shapes(tensors, doubled))
    owner: dict[str, str] = {}
    both = []
    for key, names in found.items():
        for name in names[:1]:
            if name in owner:
                both.append(f"  {brief(owner[name])} and {brief(key)} would both become {brief(name)}")
            owner[name] = key
    problems += both[:MOST] + [f"  … and {len(both) - MOST} more pairs"] * (len(both) > MOST)
    if problems:
        raise ConversionError(f"{where}: the keys do not fit:\n" + "\n".join(problems))
    return {key: names[0] for key, names in found.items()}


def _is_folded(nameless: Collection[str], keys: Collection[str]) -> bool:
    """Say whether the keys that no rule knows are the biases of convolutions that have a batch norm in them."""
    return all(key.endswith(".bias") and f"{key.removesuffix('bias')}weight" in keys for key in nameless) and not any(
        key.endswith(".running_mean") for key in keys
    )


def _with_units(name: str, shape: tuple[int, ...], table: Table) -> tuple[int, ...]:
    """Return the shape of a kernel with the unit dimensions that files of this layout leave out."""
    if not _KERNEL.search(name) or len(shape) >= 5:
        return shape
    if table.kernels == "trailing" and len(shape) >= 2:
        return shape + (1,) * (5 - len(shape))
    if table.kernels == "image" and len(shape) == 4:
        return (*shape[:2], 1, *shape[2:])
    return shape


def export(state_dict: Mapping[str, Tensor], record: str | Record, layout: str, path: str | Path) -> Path:
    """Write tensors under our names as a published file of a layout, whole or not at all, and return its path.

    What is given is written: whether it is the whole network is for `state_dict.check_state_dict` to say.

    "caffe2" is a pickle of blobs as Python 2 wrote it; "pyslowfast" a torch file with `model_state`.
    Raises: UsageError for another layout; ConversionError for tensors that the layout has no names for.
    """
    record = registry.record(record)
    if layout not in tables.layouts(record.family):
        raise UsageError(f"layout: found {layout!r}, expected one of {', '.join(tables.layouts(record.family))}")
    check_parent_exists(Path(path))
    tensors = to_published(state_dict, tables.find(record.family, layout))
    with atomic_write(Path(path)) as part:
        if layout == "caffe2":
            caffe2_pickle.write(part, {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()})
        else:
            import torch

            torch.save({"model_state": tensors}, part)
    return Path(path)
