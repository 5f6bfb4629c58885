"""Reads torch checkpoints, zip and legacy: scanned by `torch_scan`, then loaded by torch with `weights_only=True`."""

from __future__ import annotations

import re
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from videohub.convert.quoting import printable, quote
from videohub.convert.restricted import DAMAGE, Record
from videohub.convert.torch_scan import TensorView, scan_legacy, scan_zip
from videohub.errors import FormatError, UnsafeFileError

Content = tuple[dict[str, np.ndarray], dict[str, Any]]
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


def read_zip(path: Path, archive: zipfile.ZipFile, root: str, source: str) -> Content:
    """Return the state dict of a torch file of today, and `epoch`, `cfg` and the names of what else it holds."""
    return _read(path, scan_zip(archive, root, source), source, mmap=True)


def read_legacy(path: Path, source: str) -> Content:
    """Return the state dict of a torch file from before 1.6; as `read_zip` does."""
    return _read(path, scan_legacy(path, source), source, mmap=False)


def _read(path: Path, outline: Any, source: str, *, mmap: bool) -> Content:
    """Load what the outline promises."""
    found_under, state = _state_dict(outline, source)
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, TensorView):
            raise FormatError(
                f"{source}: {quote(name)} in the state dict is a {_kind(value)}, expected a tensor.\n"
                f"  A state dict holds tensors alone; it may lie under {', '.join(STATE_KEYS)}."
            )
    content = _load(path, source, mmap=mmap)
    tensors = content[found_under] if found_under else content
    copies = _Copies(4 * path.stat().st_size + (1 << 20), source)
    arrays = {name: copies.array(tensor, always=mmap) for name, tensor in tensors.items()}
    meta: dict[str, Any] = {"found_under": found_under, "other_keys": []}
    if found_under:
        others = [key for key in outline if key != found_under]
        meta.update({key: outline[key] for key in ("epoch", "cfg") if isinstance(outline.get(key), int | float | str)})
        meta["other_keys"] = [key if isinstance(key, str) else quote(key) for key in others if key not in meta]
    return arrays, meta


def _state_dict(outline: Any, source: str) -> tuple[str | None, Mapping[Any, Any]]:
    """Return the key under which the state dict lies, None if it is the file's whole content, and the state dict."""
    if isinstance(outline, dict):
        for key in STATE_KEYS:
            if isinstance(outline.get(key), dict) and outline[key]:
                return key, outline[key]
        if any(isinstance(value, TensorView) for value in outline.values()):
            return None, outline
        keys = [printable(key[:40]) if isinstance(key, str) else quote(key) for key in list(outline)[:10]]
        what = f"a dict with the keys {', '.join(keys) or 'none'}"
    else:
        what = f"a {_kind(outline)}"
    raise FormatError(
        f"{source}: a torch file of {what}, expected a state dict, bare or under {', '.join(STATE_KEYS)}.\n"
        "  Load it where it was made and save model.state_dict()."
    )


def _kind(value: Any) -> str:
    """Return what to call a value of an outline."""
    return {TensorView: "tensor", Record: "dict"}.get(type(value), type(value).__name__)


class _Inert:
    """Stands for the numbers of numpy in an optimizer's state, which are thrown away."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Forget it."""


_NUMPY = ("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_safe_globals_of_torch = threading.Lock()


def _load(path: Path, source: str, *, mmap: bool) -> Any:
    """Let torch read the file."""
    import torch

    inert: list[Any] = [(_Inert, name) for name in _NUMPY]
    try:
        with _safe_globals_of_torch, torch.serialization.safe_globals(inert):
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mmap)
    except (*DAMAGE, RuntimeError, AssertionError, OSError) as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            raise UnsafeFileError(
                f"{source}: the file asks for {named[1]}, which weights do not need.\n"
                "  Nothing from it was run. Load it where it was made and save model.state_dict()."
            ) from None
        reason = " ".join(str(error).split())
        raise FormatError(
            f"{source}: torch cannot read this file ({type(error).__name__}: {reason:.200}).\n"
            "  Compare its size and hash with its publisher's, or fetch it again."
        ) from None


class _Copies:
    """Arrays of torch's tensors: two names of one tensor share one array, and all of them have a limit."""

    def __init__(self, limit: int, source: str) -> None:
        self.left, self.limit, self.source = limit, limit, source
        self.known: dict[Any, np.ndarray] = {}

    def array(self, tensor: Any, *, always: bool) -> np.ndarray:
        """Return a contiguous array, `always` a copy where the file is mapped; bfloat16 becomes float32."""
        import torch

        tensor = tensor.detach()
        key = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if key in self.known:
            return self.known[key]
        widen = tensor.dtype == torch.bfloat16
        self.left -= tensor.numel() * tensor.element_size() * (2 if widen else 1)
        if self.left < 0:
            raise UnsafeFileError(
                f"{self.source}: its tensors need more than {self.limit} bytes, four times the file.\n"
                "  They show the same bytes again and again, to fill the memory: do not use this file."
            )
        tensor = tensor.float() if widen else tensor.clone() if always else tensor
        self.known[key] = tensor.contiguous().numpy()
        return self.known[key]
