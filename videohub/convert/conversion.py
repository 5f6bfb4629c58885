"""A published file's tensors under our names, and ours in a file of another layout."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from videohub import registry
from videohub.convert import caffe2_pickle, kept_weights, steps, tables
from videohub.convert.checkpoint import Listing
from videohub.convert.recognition import OURS, Recognised, capped, recognise, shapes, whose, without_wrappers
from videohub.convert.table_schema import SplitNorms
from videohub.convert.tables import Match, Table, arguments_of
from videohub.errors import ConversionError, UsageError
from videohub.escaping import brief, visible
from videohub.files import atomic_write, check_parent_exists
from videohub.log import log, warn_once
from videohub.pickles.stored_values import Array
from videohub.registry import labels, transformers_files
from videohub.registry.schema import Record
from videohub.registry.transformers_kinds import KINDS

if TYPE_CHECKING:
    from torch import Tensor


def to_state_dict(checkpoint: Listing, record: str | Record, *, ignore: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return the checkpoint's tensors under our names; `renamed` says how they are named.

    Raises: ConversionError, as `renamed`.
    """
    import torch

    record = registry.record(record)
    arrays, _ = renamed(checkpoint, record, ignore=ignore)
    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}


def renamed(checkpoint: Listing, record: Record, *, ignore: Sequence[str] = ()) -> tuple[dict[str, Array], Recognised]:
    """Return the checkpoint's arrays under our names, and how they were named; what lies in a file still does.

    Every key is matched whole by exactly one rule, or named by the table's `ignore` or by a pattern of `ignore`. What
    all the others begin with, such as `module.`, is taken off, and told. Nothing else changes but what the table's
    steps say; see `videohub.convert.steps`. Keys may be our own.

    Raises: ConversionError that lists the keys and shapes which no rule, two rules or one name twice claim, parts that
        are missing, copies that differ, and whatever a step refuses; or that says that no layout knows any key.
    """
    if checkpoint.is_converted:
        _check_record(checkpoint, record)
    tensors = {key: array for key, array in checkpoint.tensors.items()
               if not any(fnmatchcase(key, pattern) for pattern in ignore)}  # fmt: skip
    arguments = arguments_of(record)
    layout = recognise(tensors, record.family, arguments)
    if layout is None or layout.knows(tensors) < len(tensors):
        plain = without_wrappers(tensors)
        inner = recognise(plain, record.family, arguments) if plain.keys() != tensors.keys() else None
        if inner and (layout is None or inner.knows(plain) > layout.knows(tensors)):
            log.warning("%s: took the names of torch's wrappers, such as _orig_mod, out of %d keys of %s", record.name,
                        len(plain.keys() - tensors.keys()), checkpoint.source)  # fmt: skip
            tensors, layout = plain, inner
    if layout is None:
        raise ConversionError(
            f"{record.name}: {checkpoint.source}: these keys belong to no layout that videohub knows:\n"
            + shapes(checkpoint.tensors, checkpoint.tensors)
            + (whose(tensors, record) or f"\n  Take a file of {record.name}, or name the record whose file this is.")
        )
    where = f"{record.name}: {checkpoint.source}: {layout.table.name if layout.layout != OURS else 'our own names'}"
    try:
        state = imported(tensors, layout, arguments, where)
    except ConversionError as error:
        if layout.knows(tensors) == len(tensors):
            raise
        raise ConversionError(f"{error}{whose(tensors, record)}") from error
    if others := checkpoint.meta.get("other_weights"):
        tell_taken(record, checkpoint.meta["found_under"], ", ".join(others), checkpoint.source)
    if layout.prefix:
        log.warning("%s: took %s off all keys of %s", record.name, layout.prefix[:200], checkpoint.source)
    return state, layout


def tell_taken(record: Record, under: str, others: str, source: str) -> None:
    """Say of which of several state dicts of a file the weights are."""
    warn_once("%s: took %s of %s, which also holds %s: to have that, save it alone", record.name, under, source, others)


def patterns(ignore: Sequence[str]) -> list[str]:
    """Return patterns of keys as they were given. Raises: UsageError for a single text, which would be its letters."""
    if isinstance(ignore, str) or not all(isinstance(pattern, str) for pattern in ignore):
        raise UsageError(f"ignore: found {ignore!r:.100}, expected a list of patterns, such as ['loss.*']")
    return list(ignore)


def imported(
    tensors: Mapping[str, Array], recognised: Recognised, arguments: Mapping[str, Any], where: str
) -> dict[str, Array]:
    """Return the tensors of a file under our names: what `renamed` does, without a record.

    Args:
        recognised: How their keys are spelt; its table is that of a network with these `arguments`.
        where: What messages begin with.
    """
    table = recognised.table
    if recognised.layout != OURS and (reason := table.reason_against_reading(arguments)):
        raise ConversionError(
            f"{where}: a file of this layout is of another network, which gives other numbers: {reason}.\n"
            "  Take a file of another layout, or name a record whose network this one holds."
        )
    if any(isinstance(step, SplitNorms) for step in table.file.steps):
        tensors = steps.plain_norms(tensors)
    tensors = _without_copies(
        {key: array for key, array in tensors.items() if recognised.ignored(key) is None}, recognised
    )
    tensors = _without_computed(tensors, recognised, arguments, where)
    state: dict[str, Array] = {}
    for sources, names in _one_to_one(recognised.matches(tensors), tensors, where, recognised.prefix):
        arrays = [tensors[key] for key in sources]
        if recognised.layout != OURS:
            inner = [key.removeprefix(recognised.prefix) for key in sources]
            arrays = [steps.imported(key, array, table) for key, array in zip(inner, arrays, strict=True)]
        whole = arrays[0] if len(arrays) == 1 else steps.joined(arrays, sources)
        parts = [whole] if len(names) == 1 else steps.split(whole, len(names), sources[0])
        state.update(zip(names, parts, strict=True))
    _check_needed(state, table, where)
    for name, array in state.items():
        fill = table.fill_of(name)
        if fill and fill.type == "int64" and not array.shape:  # a count, which half precision may have made infinite
            state[name] = np.asarray(np.nan_to_num(np.asarray(array), nan=0, posinf=0, neginf=0), np.int64)
    return state | steps.fills(state, table, arguments, unused=recognised.layout == OURS)


def to_published(
    state: Mapping[str, Tensor], table: Table, arguments: Mapping[str, Any] | None = None
) -> dict[str, Tensor]:
    """Return our tensors as a file of the table's layout has them; the inverse of `imported`.

    Args:
        table: That of a network with these `arguments`.
    Raises: ConversionError that lists the keys that the table cannot name, or names a step that has no inverse, or says
        that the layout's library would compute something else.
    """
    import torch

    arguments = arguments or {}
    if reason := table.reason_against_writing(arguments):
        raise ConversionError(
            f"{table.name}: a file of this layout would be of another network: {reason}.\n"
            f"  Layouts for this one: {_other_layouts(table, arguments)}."
        )
    matches = table.matches(state, to_ours=False)
    lacking = {name: fill for name, match in matches.items() if not match and (fill := table.fill_of(name))}
    there = {name: tensor for name, tensor in state.items() if name not in lacking}
    filled = steps.fills(there, table, arguments, unused=False)
    if lost := [name for name, fill in lacking.items() if not fill.unused and not (
                name in filled and steps.is_filled(state[name], filled[name], exactly=fill.by is None))]:  # fmt: skip
        reasons = "; ".join(dict.fromkeys(lacking[name].why for name in lost))
        raise ConversionError(
            f"{table.name}: such files have no place for these tensors, and expect other values in them ({reasons}):\n"
            f"{shapes(state, lost)}\n  Layouts that may have one: {_other_layouts(table, arguments)}."
        )
    nameable = {name: match for name, match in matches.items() if name not in lacking}
    if nameless := [name for name, match in nameable.items() if not match]:
        lines = [f"{table.name}: such files have no names for {len(nameless)} of {len(nameable)} tensors:"]
        lines += [shapes(state, nameless), *_if_folded(nameless, nameable)]
        raise ConversionError("\n".join([*lines, f"  Layouts that may have some: {_other_layouts(table, arguments)}."]))
    published: dict[str, Tensor] = {}
    for sources, names in _one_to_one(nameable, state, table.name):
        whole = state[sources[0]] if len(sources) == 1 else torch.cat([state[name] for name in sources])
        parts = [whole] if len(names) == 1 else steps.split_tensor(whole, len(names), sources[0])
        for key, part in zip(names, parts, strict=True):
            published[key] = steps.exported(key, part, table)
            published.update(dict.fromkeys(table.copies_of(key), published[key]))
    for key, tensor in list(published.items()):
        for how, name in table.computed_beside(key):
            published[name] = torch.from_numpy(steps.made(how, tuple(tensor.shape), arguments))
    return published


def _other_layouts(table: Table, arguments: Mapping[str, Any]) -> str:
    """Return the layouts, but for a table's own, whose libraries have a network with these arguments."""
    return ", ".join(layout for layout in (OURS, *tables.writable(table.family, arguments)) if layout != table.layout)


def export(state_dict: Mapping[str, Tensor], record: str | Record, layout: str, path: str | Path) -> Path:
    """Write tensors under our names as a published file of a layout, whole or not at all, and return its path.

    What is given is written: whether it is the whole network is for `check_state_dict` to say. The layout's
    table says what kind of file it is. Beside a file of transformers' are those that describe it, and the path may be a
    folder.
    Raises: UsageError for another layout; ConversionError for tensors that the layout has no names for.
    """
    record = registry.record(record)
    check_layout(record, layout)
    arguments = arguments_of(record)
    table = tables.find(record.family, layout).of(arguments)
    check_parent_exists(Path(path))
    file = file_at(Path(path), record, layout)
    tensors = to_published(state_dict, table, arguments)
    described = described_beside(file, record) if names_classes(record, layout) else {}
    with ExitStack() as written:
        for other, content in described.items():
            written.enter_context(atomic_write(other)).write_bytes(content)
        write_file(tensors, table, written.enter_context(atomic_write(file)))
    return file


def file_at(path: Path, record: Record, layout: str) -> Path:
    """Return the file that a path to write names: a folder's, unless it ends as files do, where more goes beside it."""
    described = layout != OURS and names_classes(record, layout)
    return path / "model.safetensors" if described and (path.is_dir() or not path.suffix) else path


def names_classes(record: Record, layout: str) -> bool:
    """Tell whether files of a layout say what the outputs are called."""
    return layout == OURS or tables.find(record.family, layout).file.written_as.described


def described_beside(file: Path, record: Record) -> dict[Path, bytes]:
    """Return the files by which transformers builds and feeds a record's network, and what is to stand in them.

    Raises: UsageError if one is there that says otherwise; ConversionError if the library has no such network.
    """
    names, activation = labels.names(record.labels), record.protocol.scores.activation
    config = transformers_files.config_of(record.model, record.clip.frames, names, activation)
    described: dict[str, Any] = {transformers_files.CONFIG: config}
    processor = KINDS[config["model_type"]].processor
    file_of_pixels = transformers_files.file_of(processor)
    if pixels := transformers_files.pixels_of(record.protocol, processor):
        described[file_of_pixels] = pixels
    else:
        log.warning("%s: wrote no %s: transformers has no such steps as those of protocol %s", record.name,
                    file_of_pixels, record.protocol.name)  # fmt: skip
    contents = {file.parent / name: json.dumps(each, indent=2, ensure_ascii=False).encode() + b"\n"
                for name, each in described.items()}  # fmt: skip
    for place, content in contents.items():
        if place.exists() and not (place.is_file() and place.read_bytes() == content):
            raise UsageError(
                f"{place}: is there already and says otherwise; expected a folder for this network alone.\n"
                "  Give another one, or remove the file."
            )
    return contents


def write_file(tensors: Mapping[str, Tensor], table: Table, path: Path) -> None:
    """Write tensors, named as the layout's, in the container that its files have; the same tensors give the same bytes.

    Torch files are so with one version of torch.
    """
    written_as = table.file.written_as
    if written_as.container == "torch":
        import torch

        alone = _in_storage_of_their_own(tensors)
        whole: object = {written_as.under: alone} if written_as.under else alone
        if table.file.parts:
            whole = table.in_parts(alone)
        with path.open("wb") as file:  # given a path, torch would write its name into the file
            torch.save(whole, file)
        return
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    if written_as.container == "caffe2":
        caffe2_pickle.write(path, arrays)
    else:
        kept_weights.write_safetensors(path, arrays, {"format": "pt"})


def _in_storage_of_their_own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as a file should hold them: of a view, torch would write all that it is a view of.

    What stands under two names stays one tensor.
    """
    alone: dict[int, Tensor] = {}
    for tensor in tensors.values():
        plain = tensor.detach().cpu().contiguous()
        alone[id(tensor)] = plain if plain.untyped_storage().nbytes() == plain.nbytes else plain.clone()
    return {name: alone[id(tensor)] for name, tensor in tensors.items()}


def check_layout(record: Record, layout: str, *others: str) -> None:
    """Refuse a layout that no table of the record's family writes, and that is none of `others`. Raises: UsageError."""
    if layout not in (*others, *tables.layouts(record.family)):
        known = ", ".join([*others, *tables.writable(record.family, arguments_of(record))])
        raise UsageError(f"layout: found {layout!r:.100}, expected for {record.name} one of {known}")


def _check_record(checkpoint: Listing, record: Record) -> None:
    """Refuse converted weights that say that they are another record's, or do not say whose they are.

    Those of a folder of transformers' may go by the path that it had where they were saved: its network is what counts.
    """
    try:
        stated = json.loads(checkpoint.meta.get("record", ""))
        holds, network = stated.get("name"), {**stated.get("model", {}), "num_classes": None}
    except (ValueError, AttributeError, TypeError, RecursionError):
        holds = network = None
    if holds == record.name:
        return
    is_same = network == {**json.loads(msgspec.json.encode(record.model)), "num_classes": None}
    is_folder = isinstance(holds, str) and {holds, record.name}.isdisjoint(registry.default().records)
    if not (is_same and is_folder):
        other = brief(holds) if isinstance(holds, str) else "an unknown record"
        raise ConversionError(
            f"{record.name}: {checkpoint.source} holds converted weights of {other}.\n"
            f"  Name that record in place of {record.name}. Where {record.name} is a record of these weights' own, "
            "`videohub convert FILE --model THAT_RECORD --to LAYOUT` writes a file that names none."
        )


def _without_copies(tensors: dict[str, Array], recognised: Recognised) -> dict[str, Array]:
    """Return the tensors of a file without those that are stored twice, which are compared where they are read."""
    once = dict(tensors)
    for key in tensors:
        if (original := recognised.original_of(key)) is not None:
            copy = once.pop(key)
            once[original] = steps.same(once[original], copy, key, original) if original in once else copy
    return once


def _without_computed(
    tensors: dict[str, Array], recognised: Recognised, arguments: Mapping[str, Any], where: str
) -> dict[str, Array]:
    """Return the tensors of a file without those that follow from others, as they must."""
    computed = {key: at for key in tensors if (at := recognised.computed_at(key))}
    odd = []
    for key, (how, beside) in computed.items():
        expected = steps.made(how, tuple(tensors[beside].shape) if beside in tensors else (), arguments)
        if not how.unused and not steps.is_filled(tensors[key], expected, exactly=how.by is None):
            odd.append(key)
    if odd:
        reasons = "; ".join(dict.fromkeys(computed[key][0].why for key in odd))
        raise ConversionError(f"{where}: other values than this network computes ({reasons}):\n{shapes(tensors, odd)}")
    return {key: array for key, array in tensors.items() if key not in computed}


def _check_needed(state: Mapping[str, Array], table: Table, where: str) -> None:
    """Refuse a file that lacks what some are known to have lost."""
    lacking = {other: why for name in state for other, why in table.needed_beside(name) if other not in state}
    if lacking:
        reasons = "; ".join(dict.fromkeys(lacking.values()))
        names = "\n".join(capped((f"    {brief(name)}" for name in lacking), len(lacking)))
        raise ConversionError(
            f"{where}: the file lacks {len(lacking)} tensors that it must hold ({reasons}):\n{names}\n"
            "  Take the file as its publisher offers it, or save yours anew from a network that has them."
        )


def _one_to_one(
    matches: Mapping[str, Sequence[Match]], tensors: Mapping[str, object], where: str, prefix: str = ""
) -> list[Match]:
    """Return what becomes of all keys, or refuse with every key that has no name, several, one already given, or
    parts of its tensor missing.
    """
    problems = []
    if nameless := [key for key, match in matches.items() if not match]:
        behind = f"; the others begin with {visible(prefix)[:200]}" if prefix else ""
        problems.append(
            f"  no rule knows {len(nameless)} of {len(matches)} keys{behind} (`videohub convert --ignore PATTERN` and "
            f"`load(ignore=[PATTERN])` leave keys aside):\n{shapes(tensors, nameless)}"
        )
        problems += _if_folded(nameless, matches)
    if doubled := [key for key, match in matches.items() if len(match) > 1]:
        problems.append(f"  {len(doubled)} keys match two rules:\n" + shapes(tensors, doubled))
    chosen = list(dict.fromkeys(match[0] for match in matches.values() if match))
    lines = []
    owner: dict[str, str] = {}
    for sources, names in chosen:
        missing = [key for key in sources if key not in matches]
        lines += [f"  {brief(key)} is missing, a part of {brief(names[0])}" for key in missing]
        key = next(key for key in sources if key in matches)
        for name in names:
            if name in owner:
                lines.append(f"  {brief(owner[name])} and {brief(key)} would both become {brief(name)}")
            owner[name] = key
    problems += capped(lines, len(lines))
    if problems:
        raise ConversionError(f"{where}: the keys do not fit:\n" + "\n".join(problems))
    return chosen


def _if_folded(nameless: Collection[str], keys: Collection[str]) -> list[str]:
    """Return what to say where the keys that no rule knows are biases of convolutions with a batch norm in them."""
    are_biases = all(key.endswith(".bias") and f"{key.removesuffix('bias')}weight" in keys for key in nameless)
    if not are_biases or any(key.endswith(".running_mean") for key in keys):
        return []
    return [
        "  This is a network of videohub.optimize: batch norms have become part of the convolutions, and nothing\n"
        "  takes them apart again. Save the state dict of the model that was optimised."
    ]
