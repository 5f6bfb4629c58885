"""Reads torch checkpoints, zip and legacy, without torch: what is in them, and of that their state dict alone.

torch's own safe reader runs no code either, but it makes room for whatever a file claims, grows storages to fit the
tensors, lets a file call `bytearray(10**12)`, and compares no checksum. A file that passes here claims no more than it
holds.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Mapping
from typing import IO, Any

from videohub.convert import tables
from videohub.convert.archives import HEAD, is_tar
from videohub.convert.recognition import recognise
from videohub.convert.table_schema import Part
from videohub.convert.torch_tensors import REAL, Outline, Storage, Tensors, TensorView
from videohub.convert.zip_file import Member, members_of
from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import quote, visible
from videohub.pickles import unpickler
from videohub.pickles.stored_values import LongString, StoredTensor, as_string, bytes_at, damaged
from videohub.pickles.unpickler import Array, Inert, Record

Content = tuple[dict[str, StoredTensor], dict[str, Any]]
MAX_PICKLE = 64 << 20  # tensors lie outside of the pickle, which so has some hundred bytes for each
STATE_KEYS = ("model_state", "state_dict", "model_state_dict", "model", "net", "network", "module", "weights")


def torch_root(archive: zipfile.ZipFile, source: str) -> str | None:
    """Return the folder of a torch archive's pickle, or None for another zip file.

    Raises: UnsafeFileError for TorchScript, which is a program.
    """
    names = archive.namelist()
    script = next((name for name in names if re.match(r"[^/]+/(constants\.pkl$|code/)", name)), None)
    if script:
        raise UnsafeFileError(
            f"{source}: a TorchScript archive (it holds {script}), which is a program, expected tensors.\n"
            "  Nothing was run. If you trust it, torch.save(torch.jit.load(...).state_dict(), ...) makes a checkpoint."
        )
    roots = [name[: -len("/data.pkl")] for name in names if re.fullmatch(r"[^/]+/data\.pkl", name)]
    return roots[0] if len(roots) == 1 else None


def read_zip(file: IO[bytes], archive: zipfile.ZipFile, root: str, source: str) -> Content:
    """Return the state dict of a torch file of today, and `epoch`, `cfg` and the names of what else it holds.

    Its pickle lies in the archive at `root/data.pkl`.
    """
    infos = {info.filename: info for info in archive.infolist()}
    if stray := next((name for name in infos if not name.startswith(f"{root}/")), None):
        raise UnsafeFileError(
            f"{source}: its member {stray!r:.100} lies outside of {root!r:.100}, and torch looks for it elsewhere.\n"
            "  Load it where it was made and save it again."
        )
    for info in infos.values():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UnsafeFileError(
                f"{source}: its member {info.filename!r:.100} is compressed, and torch.save never compresses.\n"
                "  Load it where it was made and save it again."
            )
    members = members_of(file, archive, source)
    pickled = members[f"{root}/data.pkl"]
    if pickled.size > MAX_PICKLE:
        raise UnsafeFileError(f"{source}: a pickle of {pickled.size} bytes.\n  Do not use this file.")
    pickled.check()
    file.seek(pickled.offset)
    scan = Tensors(source)
    content = scan.load(file, pickled.offset + pickled.size)
    used = {}
    for storage in scan.storages.values():
        member = members.get(f"{root}/data/{storage.key}")
        if member is None or member.size != storage.numel * storage.itemsize:
            raise _false_claim(storage, member.size if member else None, source)
        used[storage.key] = member
    order = members.get(f"{root}/byteorder")
    is_big = order is not None and b"".join(bytes_at(file, order.offset, min(order.size, 8), source)) == b"big"
    return _content(Outline(content, file, used, source, ">" if is_big else "<"))


def read_legacy(file: IO[bytes], end: int, source: str) -> Content:
    """Return the state dict of a torch file from before 1.6, five pickles and then the storages, as `read_zip` does."""
    if is_tar(file.read(HEAD)):
        raise UnsafeFileError(
            f"{source}: a torch file and a tar at once; what is found in it depends on the reader.\n"
            "  Do not use this file."
        )
    file.seek(0)
    scan = Tensors(source)
    for _ in range(3):  # the magic number, the version and the sizes of C types
        unpickler.load(file, min(end, file.tell() + 4096), source)
    content = scan.load(file, min(end, file.tell() + MAX_PICKLE))
    keys = unpickler.load(file, min(end, file.tell() + MAX_PICKLE), source)
    keys = keys if isinstance(keys, list) and all(isinstance(key, str | int) for key in keys) else []
    if sorted(map(str, keys)) != sorted(scan.storages):
        raise damaged(source, "a damaged torch file (its storages are not listed)")
    members = {}
    for key in keys:
        storage = scan.storages[str(key)]
        numel = int.from_bytes(file.read(8), "little")
        left = end - file.tell()
        if numel != storage.numel:
            raise _false_claim(storage, numel * storage.itemsize, source)
        if (size := storage.numel * storage.itemsize) > left:
            what = f"a storage of {size} bytes begins where {max(left, 0)} are left"
            raise damaged(source, f"a torch file that is cut short: {what}")
        members[storage.key] = Member(storage.key, file, file.tell(), size, None, source)
        file.seek(size, 1)
    return _content(Outline(content, file, members, source))


def _content(outline: Outline) -> Content:
    """Return what the outline promises; two names of one tensor share it."""
    source = outline.source
    used, state = _state_dict(outline.content, source)
    found_under = " and ".join(used) or None
    are_there = _tensors_in(state) > 0
    limit = left = 4 * outline.file.seek(0, 2) + (1 << 20)
    known: dict[TensorView, StoredTensor] = {}
    tensors: dict[str, StoredTensor] = {}
    others: dict[Any, Any] = {}
    for name, value in state.items():
        if not isinstance(name, str):
            raise FormatError(f"{source}: {quote(name)} in the state dict is no text, expected names of tensors")
        if isinstance(value, TensorView):
            if value not in known:
                known[value] = outline.stored(value)
                left -= known[value].nbytes
            tensors[name] = known[value]
        elif not are_there or _is_array(value) or _holds_weights(value):
            raise FormatError(
                f"{source}: {quote(name)} in the state dict is {_kind(value)}, expected a tensor.\n"
                f"  A state dict holds tensors alone; it may lie under {', '.join(STATE_KEYS)}."
            )
        else:  # a number or a text that somebody put among them
            others[name] = value
        if left < 0:
            raise UnsafeFileError(
                f"{source}: its tensors need more than {limit} bytes, four times the file.\n"
                "  They show the same bytes again and again, to fill the memory: do not use this file."
            )
    meta: dict[str, Any] = {"found_under": found_under}
    beside = {key: value for key, value in outline.content.items() if key not in used} if found_under else {}
    others |= beside
    for key in ("epoch", "cfg"):
        value = others.get(key)
        if isinstance(value, LongString):
            value = as_string(outline.file, value, source)
        if isinstance(value, int | float | str):
            meta[key] = value
    meta["other_keys"] = [key if isinstance(key, str) else quote(key) for key in others if key not in meta]
    if found_under:
        weights = [key for key in beside if not str(key).startswith("opt") and _holds_weights(beside[key])]
        meta["other_weights"] = [visible(key[:40]) if isinstance(key, str) else quote(key) for key in weights]
    return tensors, meta


def _is_array(value: Any) -> bool:
    """Return whether a value is an array of numpy's, and no single number."""
    return isinstance(value, Array) and value.value is not None and bool(value.value.shape)


def _holds_weights(value: Any) -> bool:
    """Return whether a value has tensors of real numbers in it, at any depth; single ones are losses and scores."""
    left, seen = [value], set[int]()
    while left:
        each = left.pop()
        if isinstance(each, TensorView):
            if each.shape and each.storage.kind in REAL:
                return True
        elif isinstance(each, dict | list | tuple) and id(each) not in seen:  # which may hold itself
            seen.add(id(each))
            left += each.values() if isinstance(each, dict) else each
    return False


def _parts(outline: Mapping[Any, Any], source: str) -> tuple[list[str], Mapping[Any, Any]]:
    """Return the state dicts of the parts that a table knows, as one, and the keys that they lie under.

    Of several tables that find some, it is the one that finds most; of those, one that reads most of their keys.
    """
    results = [_parts_as(parts, outline, source) for parts in tables.parts()]
    most = max(len(used) for used, _ in results)
    best = {tuple(state): (used, state) for used, state in results if len(used) == most}
    return best.popitem()[1] if len(best) == 1 else max(best.values(), key=lambda result: _known_of(result[1]))


def _known_of(state: Collection[str]) -> int:
    """Return how many keys of a state dict some layout knows."""
    layout = recognise(state)
    return layout.knows(state) if layout else 0


def _parts_as(
    parts: Mapping[str, Part], outline: Mapping[Any, Any], source: str
) -> tuple[list[str], dict[str, TensorView]]:
    """Return, as `_parts` does, what lies where one table says."""
    used, state = list[str](), dict[str, TensorView]()
    for begins, part in parts.items():
        under, _, number = part.under.partition(".")
        value = outline.get(under)
        if number and isinstance(value, list):
            if len(value) != 1:
                raise FormatError(
                    f"{source}: holds {len(value)} state dicts under {under}, expected one.\n"
                    f"  Save it anew with the one that you mean: {{'{under}': [state_dict]}}."
                )
            value = value[0]
        if isinstance(value, dict) and _tensors_in(value) and all(isinstance(key, str) for key in value):
            for word in part.prefix.split("."):
                if word and all(key.startswith(f"{word}.") for key in value):
                    value = {key[len(word) + 1 :]: tensor for key, tensor in value.items()}
            state.update({begins + key: tensor for key, tensor in value.items()})
            used.append(under)
    return used, state


def _state_dict(outline: Any, source: str) -> tuple[list[str], Mapping[Any, Any]]:
    """Return the key under which the state dict lies, none if it is the file's whole content, and the state dict."""
    if isinstance(outline, dict):
        under = [key for key in STATE_KEYS if isinstance(outline.get(key), dict) and outline[key]]
        under.sort(key=lambda key: not _tensors_in(outline[key]))  # "model" may hold what the network was made from
        if under and _tensors_in(outline[under[0]]):
            return under[:1], outline[under[0]]
        if _tensors_in(outline):
            return [], outline
        if not under and (parts := _parts(outline, source))[0]:
            return parts
        others = [key for key, value in outline.items() if isinstance(value, dict)
                  and 0 < len(value) == _tensors_in(value)]  # fmt: skip
        if len(others) == 1:  # under a name of its own, and nothing else could be meant
            return others, outline[others[0]]
        if under:
            return under[:1], outline[under[0]]
        keys = [visible(key[:40]) if isinstance(key, str) else quote(key) for key in list(outline)[:10]]
        what = f"a dict with the keys {', '.join(keys) or 'none'}"
    else:
        what = _kind(outline)
    raise FormatError(
        f"{source}: a torch file of {what}, expected a state dict, bare or under {', '.join(STATE_KEYS)}.\n"
        "  Load it where it was made and save model.state_dict()."
    )


def _tensors_in(content: Mapping[Any, Any]) -> int:
    """Return how many values are tensors."""
    return sum(isinstance(value, TensorView) for value in content.values())


def _kind(value: Any) -> str:
    """Return what to call a value of an outline."""
    names = {TensorView: "tensor", Record: "dict", Array: "numpy array", LongString: "text", Inert: "object"}
    name = names.get(type(value), type(value).__name__)
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _false_claim(storage: Storage, size: int | None, source: str) -> FormatError:
    """Return the error for a storage that is longer or shorter than the pickle says."""
    return UnsafeFileError(
        f"{source}: its storage {storage.key!r:.40} claims {storage.numel * storage.itemsize} bytes, the file holds "
        f"{'none' if size is None else size}.\n"
        "  Nothing was allocated. The file is damaged, or made to fill the memory: fetch it again, or do not use it."
    )
