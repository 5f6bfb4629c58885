"""Reads torch checkpoints, zip and legacy, without torch: what `torch_scan` found in them, its state dict alone."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from typing import IO, Any

from videohub.convert import long_strings
from videohub.convert.long_strings import LongString
from videohub.convert.restricted import Record
from videohub.convert.stored_tensor import StoredTensor
from videohub.convert.torch_scan import Outline, TensorView, scan_legacy, scan_zip
from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import quote, visible

Content = tuple[dict[str, StoredTensor], dict[str, Any]]
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
    """Return the state dict of a torch file of today, and `epoch`, `cfg` and the names of what else it holds."""
    return _content(scan_zip(file, archive, root, source))


def read_legacy(file: IO[bytes], end: int, source: str) -> Content:
    """Return the state dict of a torch file from before 1.6; as `read_zip` does."""
    return _content(scan_legacy(file, end, source))


def _content(outline: Outline) -> Content:
    """Return what the outline promises; two names of one tensor share it."""
    source = outline.source
    found_under, state = _state_dict(outline.content, source)
    limit = left = 4 * outline.file.seek(0, 2) + (1 << 20)
    known: dict[TensorView, StoredTensor] = {}
    tensors: dict[str, StoredTensor] = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, TensorView):
            raise FormatError(
                f"{source}: {quote(name)} in the state dict is a {_kind(value)}, expected a tensor.\n"
                f"  A state dict holds tensors alone; it may lie under {', '.join(STATE_KEYS)}."
            )
        if value not in known:
            known[value] = outline.stored(value)
            left -= known[value].nbytes
        if left < 0:
            raise UnsafeFileError(
                f"{source}: its tensors need more than {limit} bytes, four times the file.\n"
                "  They show the same bytes again and again, to fill the memory: do not use this file."
            )
        tensors[name] = known[value]
    meta: dict[str, Any] = {"found_under": found_under, "other_keys": []}
    if found_under:
        for key in ("epoch", "cfg"):
            value = outline.content.get(key)
            if isinstance(value, LongString):
                value = long_strings.as_string(outline.file, value, source)
            if isinstance(value, int | float | str):
                meta[key] = value
        others = [key for key in outline.content if key != found_under and key not in meta]
        meta["other_keys"] = [key if isinstance(key, str) else quote(key) for key in others]
        networks = [key for key in others if isinstance(value := outline.content[key], dict)
                    and _tensors_in(value) >= len(state)]  # fmt: skip
        meta["other_networks"] = [visible(key[:40]) if isinstance(key, str) else quote(key) for key in networks]
    return tensors, meta


def _state_dict(outline: Any, source: str) -> tuple[str | None, Mapping[Any, Any]]:
    """Return the key under which the state dict lies, None if it is the file's whole content, and the state dict."""
    if isinstance(outline, dict):
        found = [key for key in STATE_KEYS if isinstance(outline.get(key), dict) and outline[key]]
        found.sort(key=lambda key: not _tensors_in(outline[key]))  # "model" may hold what the network was made from
        if found and _tensors_in(outline[found[0]]):
            return found[0], outline[found[0]]
        if _tensors_in(outline):
            return None, outline
        others = [key for key, value in outline.items() if isinstance(value, dict)
                  and 0 < len(value) == _tensors_in(value)]  # fmt: skip
        if len(others) == 1:  # under a name of its own, and nothing else could be meant
            return others[0], outline[others[0]]
        if found:
            return found[0], outline[found[0]]
        keys = [visible(key[:40]) if isinstance(key, str) else quote(key) for key in list(outline)[:10]]
        what = f"a dict with the keys {', '.join(keys) or 'none'}"
    else:
        what = f"a {_kind(outline)}"
    raise FormatError(
        f"{source}: a torch file of {what}, expected a state dict, bare or under {', '.join(STATE_KEYS)}.\n"
        "  Load it where it was made and save model.state_dict()."
    )


def _tensors_in(content: Mapping[Any, Any]) -> int:
    """Return how many values are tensors."""
    return sum(isinstance(value, TensorView) for value in content.values())


def _kind(value: Any) -> str:
    """Return what to call a value of an outline."""
    return {TensorView: "tensor", Record: "dict"}.get(type(value), type(value).__name__)
